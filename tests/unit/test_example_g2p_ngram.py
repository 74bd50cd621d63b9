"""The joint n-gram of the grapheme-to-phoneme example: alignment, smoothing, pruning and the file."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "g2p" / "ngram.py"
LONGEST = 4
DICTIONARY = """
act AE K T|cat K AE T|tack T AE K|taco T AA K OW|cot K AA T|cots K AA T S|cats K AE T S|sat S AE T|sack S AE K
fox F AA K S|ox AA K S|box B AA K S|tax T AE K S|fax F AE K S|boxes B AA K S AH S|fast F AE S T|cast K AE S T
she SH IY|shot SH AA T|shack SH AE K|cash K AE SH|fish F IH SH|fit F IH T|sit S IH T|fix F IH K S|hit HH IH T
hat HH AE T|hot HH AA T|hack HH AE K|toe T OW|foe F OW|hoe HH OW|so S OW|bee B IY|fee F IY|he HH IY|be B IY
"""
PAIRS = [
    (word, tuple(phonemes)) for word, *phonemes in map(str.split, DICTIONARY.strip().replace("\n", "|").split("|"))
]

Nodes = dict[tuple[int, ...], tuple[float, float]]  # log p(last unit | the others) and log back-off weight of n-grams


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    spec = importlib.util.spec_from_file_location("g2p_ngram", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "g2p_ngram", module)
    spec.loader.exec_module(module)
    return module


def aligned(example: Any) -> tuple[dict[tuple[str, ...], list[str]], list[Any], int]:
    """Units of each pair as text; the sequences of unit ids, and how many ids there are."""
    vocab = example.vocabulary(PAIRS)
    sequences = example.align(PAIRS, vocab, 12)
    base = len(vocab.target)

    def text(code: int) -> str:
        phonemes = [code // base**place % base for place in range(example.WIDTH)]
        return " ".join([vocab.source[code // base**example.WIDTH], *(vocab.target[p] for p in phonemes if p)])

    spelled = {}
    for row in (row for group in sequences for row in group.tolist()):
        units = [text(code) for code in row]
        pair = ("".join(u[0] for u in units), *(p for u in units for p in u.split()[1:]))
        spelled[pair] = units
    codes = np.unique(np.concatenate([group.ravel() for group in sequences]))
    return spelled, [np.searchsorted(codes, group) + 2 for group in sequences], len(codes) + 2


def nodes_of(orders: list[Any], probs: list[Any], backoffs: list[Any], keep: list[Any]) -> Nodes:
    nodes: Nodes = {}
    paths: list[tuple[int, ...]] = [()]
    for order, prob, backoff, kept in zip(orders, probs, backoffs, keep, strict=True):
        paths = [(*paths[prefix], unit) for prefix, unit in zip(order.prefix, order.unit.tolist(), strict=True)]
        for path, p, b, stays in zip(paths, prob, backoff, kept, strict=True):
            if stays:
                assert len(path) == 1 or path[:-1] in nodes
                nodes[path] = (math.log(p) if p else -math.inf, math.log(b))
    return nodes


def log_prob(nodes: Nodes, context: tuple[int, ...], unit: int) -> float:
    ngram = (*context, unit)
    if ngram in nodes:
        return nodes[ngram][0]
    return nodes.get(context, (0.0, 0.0))[1] + log_prob(nodes, context[1:], unit)


def log_sums(nodes: Nodes, units: int) -> dict[tuple[int, ...], float]:
    """Of each context: the log of what the probabilities of all units after it sum to; start follows nothing."""
    contexts = {(), *(n for n in nodes if len(n) < LONGEST and n[-1] != 1)}
    return {c: math.log(math.fsum(math.exp(log_prob(nodes, c, u)) for u in range(1, units))) for c in contexts}


def test_alignment_finds_the_obvious_units(example: Any) -> None:
    spelled, _, _ = aligned(example)
    assert spelled.keys() == {(word, *phonemes) for word, phonemes in PAIRS}
    assert spelled["cats", "K", "AE", "T", "S"] == ["c K", "a AE", "t T", "s S"]
    assert spelled["fox", "F", "AA", "K", "S"] == ["f F", "o AA", "x K S"]
    assert spelled["toe", "T", "OW"] == ["t T", "o OW", "e"]
    assert spelled["hit", "HH", "IH", "T"] == ["h HH", "i IH", "t T"]
    assert spelled["shot", "SH", "AA", "T"][2:] == ["o AA", "t T"]


def test_pairs_that_no_units_spell_are_left_out(example: Any) -> None:
    pairs = [("cat", ("K", "AE", "T")), ("c", ("K", "AE", "T")), ("at", ())]
    shapes = [a.shape for a in example.align(pairs, example.vocabulary(pairs), 3)]
    assert shapes == [(1, 2), (1, 3)]


def test_counts_are_of_the_padded_sequences(example: Any) -> None:
    orders = example.count_ngrams([np.array([[2, 3], [2, 2]]), np.array([[3]])], 4, 3)
    first, second, third = ([(p, u, c) for p, u, c in zip(o.prefix, o.unit, o.count, strict=True)] for o in orders)
    assert first == [(0, 0, 3), (0, 1, 3), (0, 2, 3), (0, 3, 2)]
    assert second == [(0, 2, 2), (0, 3, 1), (2, 1, 1), (2, 2, 1), (2, 3, 1), (3, 1, 2)]
    assert third == [(0, 2, 1), (0, 3, 1), (1, 1, 1), (3, 1, 1), (4, 1, 1)]
    assert orders[2].suffix.tolist() == [3, 4, 5, 2, 5]
    assert orders[2].begins.tolist() == [True, True, True, False, False]


def test_probabilities_sum_to_one_before_and_after_pruning(example: Any) -> None:
    _, sequences, units = aligned(example)
    orders = example.count_ngrams(sequences, units, LONGEST)
    probs, weights = example.kneser_ney(orders)
    sizes = []
    for threshold in (-math.inf, 1e-3, 1e-2, math.inf):
        keep = example.prune(orders, probs, weights, threshold)
        backoffs = example.back_off(orders, probs, keep)
        nodes = nodes_of(orders, probs, backoffs, keep)
        sizes.append(len(nodes))
        assert max(map(abs, log_sums(nodes, units).values())) < 1e-9
    assert sizes[0] == sum(len(o.unit) for o in orders)
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] == units
    backoffs = example.back_off(orders, probs, example.prune(orders, probs, weights, -math.inf))
    for n, weight in enumerate(weights):  # with nothing pruned, what interpolation gives to shorter n-grams
        followed = orders[n].unit != 1
        np.testing.assert_allclose(backoffs[n][followed], weight[followed], rtol=1e-9)


def read(folder: Path) -> tuple[Nodes, dict[str, Any]]:
    """The written n-grams; checks the form of the trie on the way."""
    t = load_file(folder / "model.safetensors")
    size = len(t["nodes.unit"])
    assert {name: a.dtype.name for name, a in t.items()} == {
        "units.source": "int32",
        "units.targets": "int32",
        "nodes.unit": "uint16",
        "nodes.num_children": "uint16",
        "nodes.log_prob": "uint8",
        "nodes.backoff": "uint8",
        "log_probs": "float32",
        "backoffs": "float32",
    }
    assert all(t[f"nodes.{name}"].shape == (size,) for name in ("unit", "num_children", "log_prob", "backoff"))
    assert t["log_probs"].shape == t["backoffs"].shape == (256,)
    assert np.isfinite(t["log_probs"]).all()
    assert np.isfinite(t["backoffs"]).all()
    assert t["log_probs"].max() <= 0
    assert t["nodes.num_children"].sum() == size - 1
    nodes: Nodes = {}
    paths: list[tuple[int, ...]] = [()]
    for node in range(size):
        log_p, backoff = t["log_probs"][t["nodes.log_prob"][node]], t["backoffs"][t["nodes.backoff"][node]]
        nodes[paths[node]] = (float(log_p), float(backoff))
        children = t["nodes.unit"][len(paths) :][: t["nodes.num_children"][node]].tolist()
        assert children == sorted(set(children))
        assert children or backoff == 0
        paths.extend((*paths[node], unit) for unit in children)
    assert nodes.pop(()) == (0, 0)
    assert t["nodes.unit"][0] == 0
    assert t["nodes.unit"][1 : 1 + t["nodes.num_children"][0]].tolist() == list(range(len(t["units.source"])))
    assert nodes[(0,)][0] == t["log_probs"].min()
    return nodes, t


def test_the_written_folder(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "read_cmudict", lambda: sorted((w, tuple(f"{x}1" for x in p)) for w, p in PAIRS))
    (tmp_path / "dev.txt").write_text("FOE  F OW\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("tax  T AE K S\n", encoding="utf-8")
    lists = ["--dev-words", str(tmp_path / "dev.txt"), "--test-words", str(tmp_path / "test.txt")]
    for name in ("one", "two"):
        example.main(["--output", str(tmp_path / name), "--order", str(LONGEST), "--threshold", "0.002", *lists])
    for name in ("config.json", "vocab.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert f"{LONGEST}-grams" in capsys.readouterr().out

    source, target = (
        json.loads((tmp_path / "one" / "vocab.json").read_text(encoding="utf-8"))[side]["tokens"]
        for side in ("source", "target")
    )
    assert json.loads((tmp_path / "one" / "config.json").read_text(encoding="utf-8")) == {
        "format": "fastseq",
        "format_version": 1,
        "model_type": "joint_ngram",
        "source_vocab_size": len(source),
        "target_vocab_size": len(target),
    }
    nodes, t = read(tmp_path / "one")
    assert max(map(len, nodes)) == LONGEST
    units = [
        " ".join([source[letter], *(target[p] for p in phonemes if p >= 0)])
        for letter, phonemes in zip(t["units.source"][2:], t["units.targets"][2:], strict=True)
    ]
    assert t["units.source"][:2].tolist() == [-1, -1]
    assert t["units.targets"][:2].tolist() == [[-1, -1], [-1, -1]]
    assert len(set(units)) == len(units)
    assert {"c K", "x K S", "e", "a AE"} <= set(units)
    cat = (0, *(units.index(u) + 2 for u in ("c K", "a AE", "t T")))
    assert log_prob(nodes, cat[:3], cat[3]) > log_prob(nodes, cat[:3], units.index("x K S") + 2)
    for context, log_sum in log_sums(nodes, len(units) + 2).items():
        # a logarithm is rounded by half a step of 1/8 at most; a probability has one, and one for each unit backed off
        assert abs(log_sum) <= (1 + len(context)) / 16 + 1e-6
