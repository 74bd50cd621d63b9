"""Files of Keras that are damaged, incomplete or hostile: an error that says what is wrong where."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseq import load_model, nn
from fastseq.weights import read_keras

h5py = pytest.importorskip("h5py")


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}}


LAYERS = [
    layer("Embedding", "words", mask_zero=True),
    layer("LSTM", "rnn", units=3),
    layer("Dense", "out", units=2, activation="softmax"),
]
CONFIG = {"module": "keras", "class_name": "Sequential", "config": {"name": "model", "layers": LAYERS}}
SHAPES = {
    "layers/embedding/vars/0": (5, 4),
    "layers/lstm/cell/vars/0": (4, 12),
    "layers/lstm/cell/vars/1": (3, 12),
    "layers/lstm/cell/vars/2": (12,),
    "layers/dense/vars/0": (3, 2),
    "layers/dense/vars/1": (2,),
}


def weights(change: Any = lambda file: None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, shape in SHAPES.items():
            file[path] = np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
        change(file)
    return buffer.getvalue()


def archive(path: Path, config: Any = CONFIG, h5: bytes | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        file.writestr("model.weights.h5", weights() if h5 is None else h5)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.keras"


def test_a_file_made_by_hand_runs(path: Path, backend: str) -> None:
    output = nn.from_keras(archive(path))(np.array([[1, 2, 0], [4, 0, 0]]))
    assert output.shape == (2, 2)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-6)


def test_missing_and_wrong_weights_are_named(path: Path) -> None:
    def lose(file: Any) -> None:
        del file["layers/lstm"]

    with pytest.raises(ValueError, match=r"model.keras: layer 'rnn' \(LSTM\) has weights of shapes none; expected"):
        nn.from_keras(archive(path, h5=weights(lose)))

    def reshape(file: Any) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.zeros((2, 3), np.float32)

    with pytest.raises(ValueError, match=r"'out' \(Dense\) has weights of shapes \(2, 3\), \(2,\); expected \(\*, 2\)"):
        nn.from_keras(archive(path, h5=weights(reshape)))

    def count(file: Any) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = np.zeros(2, np.int64)

    with pytest.raises(ValueError, match=r"has weights of type int64; expected floats"):
        nn.from_keras(archive(path, h5=weights(count)))


def outside(file: Any) -> None:
    file["layers/other"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file: Any) -> None:
    file["layers/other"] = h5py.SoftLink("/layers")


def loop(file: Any) -> None:
    file["layers/dense/again"] = file["layers"]


def elsewhere(file: Any) -> None:
    file.create_dataset("data", (100,), "f4", external=[("/etc/passwd", 0, 400)])


def packed(file: Any) -> None:
    file.create_dataset("data", data=np.zeros(1000), compression="gzip")


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("data", layout)


def words(file: Any) -> None:
    file["data"] = "words"


def huge(file: Any) -> None:
    file.create_dataset("data", (1 << 40,), "f4")  # never written: it takes no room


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "is a link to somewhere else, which is refused"),
        (soft, "is a link to somewhere else, which is refused"),
        (loop, "groups are nested deeper than 32"),
        (elsewhere, "is stored in chunks or elsewhere"),
        (packed, "is stored in chunks or elsewhere"),
        (virtual, "is stored in chunks or elsewhere"),
        (words, "expected an array of numbers"),
        (huge, "bytes, more than the file has"),
    ],
)
def test_what_is_no_plain_array_is_refused(change: Any, message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_keras(archive(path, h5=weights(change)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "config.json is no JSON"),
        ("[" * 100_000, "config.json is no JSON"),
        ([], "is no configuration of a model"),
        ({"class_name": 3}, "is no configuration of a model"),
        ({"class_name": "Sequential"}, "expected class_name and config"),
        ({"class_name": "Sequential", "config": {"layers": 3}}, "expected a list"),
        ({"class_name": "Sequential", "config": {"layers": [3]}}, "expected class_name and config"),
        (CONFIG | {"module": "os"}, "is a Sequential of os, which is no layer of Keras"),
        (layer("Lambda", "evil", function={"code": "AAAA"}), "'evil' is a Lambda, which is not supported"),
        (layer("Sequential", "m", layers=[layer("LSTM", "a"), layer("LSTM", "a")]), "units of layer 'a' is None"),
        (layer("Sequential", "m", layers=[layer("Dropout", "a"), layer("Dropout", "a")]), "two layers 'a'"),
        (layer("Functional", "m", layers=[], input_layers=[], output_layers=[]), "has no inputs or outputs"),
        (layer("Functional", "m", layers=[], input_layers=3, output_layers=[]), "expected a list"),
        (layer("Functional", "m", layers=[], input_layers=[["a", 0, 0]], output_layers=[["a", 0]]), "refers to no"),
        (layer("LSTM", "a", units=3, stateful=3), "stateful of layer 'a' \\(LSTM\\) is 3; only False or True works"),
        (layer("LSTM", "a", units=3, activation="mish"), "activation of layer 'a' \\(LSTM\\) is 'mish'; only 'tanh'"),
    ],
)
def test_configurations_that_mean_nothing_are_named(config: Any, message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        nn.from_keras(archive(path, config))


def graph(**kwargs: Any) -> dict[str, Any]:
    """One dropout layer that reads what `history` names."""
    reference = {"class_name": "__keras_tensor__", "config": {"keras_history": kwargs.pop("history")}}
    nodes = {"inbound_nodes": [{"args": [reference], "kwargs": kwargs}]}
    inner = [layer("InputLayer", "in", batch_shape=[None, 2]), layer("Dropout", "drop") | nodes]
    return layer("Functional", "m", layers=inner, input_layers=[["in", 0, 0]], output_layers=[["drop", 0, 0]])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (graph(history=["nobody", 0, 0]), "layers drop read something that does not exist"),
        (graph(history=["drop", 0, 0]), "layers drop read something that does not exist"),
        (graph(history=["in", 0]), "refers to no output of a layer"),
        (graph(history=["in", 0, 0], secret=1), r"'drop' \(Dropout\) is called with secret"),
    ],
)
def test_graphs_that_do_not_close_are_named(config: Any, message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        nn.from_keras(archive(path, config))


def test_an_output_that_a_layer_lacks_is_named(path: Path) -> None:
    model = nn.from_keras(archive(path, graph(history=["in", 0, 1])))
    with pytest.raises(ValueError, match="output 1 of layer 'in' is used; it has 1"):
        model(np.zeros((1, 2)))


def test_archives_that_are_no_archives(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"entry config\.json is compressed"):
        read_keras(archive(path, compression=zipfile.ZIP_DEFLATED))
    content = archive(path).read_bytes()
    for size in (5, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"model\.keras"):
            read_keras(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="weights alone need config="):
        read_keras(path)
    with pytest.raises(ValueError, match="damaged or no HDF5 file"):
        read_keras(path, config=CONFIG)
    with pytest.raises(ValueError, match="has its own configuration"):
        read_keras(archive(path), config=CONFIG)


def test_damaged_bytes_give_errors_or_other_numbers(tmp_path: Path) -> None:
    content = weights()
    generator = np.random.default_rng(0)
    path = tmp_path / "model.weights.h5"
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            nn.from_keras(path, CONFIG)
        except ValueError as error:
            assert "model.weights.h5" in str(error)


def test_load_model_takes_the_same_files_and_names_what_is_wrong(path: Path, tmp_path: Path) -> None:
    model = load_model(archive(path))
    assert (model.task, model.config.vocab_size, model.config.id2label) == (
        "text-classification",
        5,
        {0: "LABEL_0", 1: "LABEL_1"},
    )
    [first, second] = model.predict([[1, 2], [4]])
    np.testing.assert_allclose([first.sum(), second.sum()], 1, atol=1e-6)
    weights_file = tmp_path / "model.weights.h5"
    weights_file.write_bytes(weights())
    with pytest.raises(FileNotFoundError, match=r"no model\.json and no config\.json beside it"):
        load_model(weights_file)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"model\.weights\.h5: config is no JSON"):
        load_model(weights_file)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    np.testing.assert_array_equal(load_model(tmp_path).predict([[1, 2]])[0], first)


def tensor(name: str) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([tensor("in")], {}, None),
        ([[tensor("in")]], {}, r"layer 'words' \(Embedding\) is called with .*; expected arrays"),
        ([3], {}, "expected arrays"),
        ([], {}, "expected arrays"),
        ([tensor("in"), tensor("in")], {}, "expected arrays"),
        ([tensor("in")], {"initial_state": 3}, "is called with initial_state"),
        ([tensor("in")], {"mask": 3}, "a mask that is no single array"),
    ],
)
def test_calls_that_mean_nothing_are_named(arguments: Any, options: Any, message: str | None, path: Path) -> None:
    parts = [layer("InputLayer", "in", batch_shape=[None, None]) | {"inbound_nodes": []}]
    parts += [part | {"inbound_nodes": []} for part in LAYERS]
    parts[1] = parts[1] | {"inbound_nodes": [{"args": arguments, "kwargs": options}]}
    for i, before in ((2, "words"), (3, "rnn")):
        parts[i] = parts[i] | {"inbound_nodes": [{"args": [tensor(before)], "kwargs": {}}]}
    config = layer("Functional", "m", layers=parts, input_layers=[["in", 0, 0]], output_layers=[["out", 0, 0]])
    if message is None:
        assert load_model(archive(path, config)).task == "text-classification"
        return
    with pytest.raises(ValueError, match=message):
        load_model(archive(path, config))


@pytest.mark.parametrize("kind", ["Lambda", "TextVectorization", "Conv1D"])
def test_load_model_runs_no_code_and_names_layers_without_any(path: Path, kind: str) -> None:
    code = layer(kind, "code", function={"class_name": "__lambda__", "config": {"code": "4wEAAA=="}})
    config = json.loads(json.dumps(CONFIG))
    config["config"]["layers"].insert(1, code)
    with pytest.raises(ValueError, match=rf"model.keras: layer 'code' is a {kind}, which is not supported"):
        load_model(archive(path, config))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([None, None, 10**12], "inputs have shapes .*; expected less than"),
        ([None, "3"], "layer 'in' .InputLayer. comes first and has no input shape"),
        ([None, 4, 7], "x.*shape|shape"),
    ],
)
def test_inputs_that_layers_cannot_read_are_found_when_a_model_is_loaded(path: Path, shape: Any, message: str) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["config"]["layers"].insert(0, layer("InputLayer", "in", batch_shape=shape))
    with pytest.raises(ValueError, match=f"model.keras: .*({message})"):
        load_model(archive(path, config))
