"""Checkpoints of OpenNMT-py: read without it, and without running what they hold.

The models are written down a second time here in PyTorch, from the definitions of OpenNMT-py's RNNEncoder,
StdRNNDecoder, InputFeedRNNDecoder and GlobalAttention; where OpenNMT-py is installed, its own classes are compared,
too. PyTorch computes in float64; in float32 a logit is off by a few hundred roundings of numbers around 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import fastseq  # noqa: E402

SOURCE = ["<unk>", "<blank>", "<s>", "</s>", "a", "b", "c"]
TARGET = ["<unk>", "<blank>", "<s>", "</s>", "x", "y", "z", "w"]
HIDDEN, EMBEDDING = 8, 5
SENTENCES = [([4, 5, 6, 4], [4, 7, 5]), ([6], [5]), ([5, 4, 5, 5, 6, 0], [6, 6, 4, 4, 5, 7])]


def tensors(cell: str, layers: int, bidirectional: bool, feeding: bool, attention: str) -> dict[str, Any]:
    """A state dictionary with OpenNMT-py's names."""
    torch.manual_seed(0)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell] * HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.embeddings.make_embedding.emb_luts.0.weight": (len(SOURCE), EMBEDDING),
        "decoder.embeddings.make_embedding.emb_luts.0.weight": (len(TARGET), EMBEDDING),
    }
    half = 2 if bidirectional else 1
    for layer in range(layers):
        for end in ("", "_reverse")[:half]:
            size = HIDDEN if layer else EMBEDDING
            shapes[f"encoder.rnn.weight_ih_l{layer}{end}"] = (gates // half, size)
            shapes[f"encoder.rnn.weight_hh_l{layer}{end}"] = (gates // half, HIDDEN // half)
            shapes[f"encoder.rnn.bias_ih_l{layer}{end}"] = shapes[f"encoder.rnn.bias_hh_l{layer}{end}"] = (
                gates // half,
            )
        size = HIDDEN if layer else EMBEDDING + (HIDDEN if feeding else 0)
        name = f"decoder.rnn.layers.{layer}.{{}}" if feeding else f"decoder.rnn.{{}}_l{layer}"
        shapes[name.format("weight_ih")], shapes[name.format("weight_hh")] = (gates, size), (gates, HIDDEN)
        shapes[name.format("bias_ih")] = shapes[name.format("bias_hh")] = (gates,)
    if attention == "general":
        shapes["decoder.attn.linear_in.weight"] = (HIDDEN, HIDDEN)
    if attention == "mlp":
        shapes["decoder.attn.linear_context.weight"] = shapes["decoder.attn.linear_query.weight"] = (HIDDEN, HIDDEN)
        shapes["decoder.attn.linear_query.bias"] = shapes["decoder.attn.linear_out.bias"] = (HIDDEN,)
        shapes["decoder.attn.v.weight"] = (1, HIDDEN)
    if attention != "none":
        shapes["decoder.attn.linear_out.weight"] = (HIDDEN, 2 * HIDDEN)
    return {name: torch.rand(shape) - 0.5 for name, shape in shapes.items()}


def options(cell: str, layers: int, bidirectional: bool, feeding: bool, attention: str) -> argparse.Namespace:
    return argparse.Namespace(
        model_type="text",
        model_task="seq2seq",
        encoder_type="brnn" if bidirectional else "rnn",
        brnn=bidirectional,
        decoder_type="rnn",
        rnn_type=cell,
        enc_layers=layers,
        dec_layers=layers,
        enc_hid_size=HIDDEN,
        dec_hid_size=HIDDEN,
        input_feed=int(feeding),
        global_attention=attention,
        global_attention_function="softmax",
        coverage_attn=False,
        copy_attn=False,
        copy_attn_type=attention,
        reuse_copy_attn=False,
        context_gate=None,
        bridge=False,
        position_encoding=False,
        dropout=[0.3],
        lora_layers=[],
    )


def checkpoint(path: Path, *kind: Any, **changes: Any) -> Path:
    generator = {"weight": torch.rand(len(TARGET), HIDDEN) - 0.5, "bias": torch.rand(len(TARGET)) - 0.5}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    values = {
        "model": tensors(*kind),
        "generator": generator,
        "vocab": {"src": SOURCE, "tgt": TARGET, "data_task": "seq2seq", "decoder_start_token": "<s>"},
        "opt": options(*kind),
        "optim": {"training_step": 3, "optimizer": optimizer},
    }
    torch.save(values | changes, path)
    return path


class Written:
    """The model as OpenNMT-py defines it, one sentence at a time, in float64."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.state = {name: tensor.double() for name, tensor in values["model"].items()}
        self.generator = {name: tensor.double() for name, tensor in values["generator"].items()}
        self.opt = values["opt"]

    def rnn(self, prefix: str, **kwargs: Any) -> Any:
        size = kwargs.pop("size", EMBEDDING)
        module = getattr(nn, self.opt.rnn_type)(
            size, batch_first=True, num_layers=self.opt.enc_layers, **kwargs
        ).double()
        feeding = prefix == "decoder" and self.opt.input_feed
        own = {}
        for name in module.state_dict():
            kind, layer = name.rsplit("_l", 1) if not name.endswith("_reverse") else (name, "")
            own[name] = self.state[f"decoder.rnn.layers.{layer}.{kind}" if feeding else f"{prefix}.rnn.{name}"]
        module.load_state_dict(own)
        return module

    @torch.inference_mode()
    def logits(self, source: list[int], target: list[int]) -> Any:
        opt, lookup = self.opt, "{}.embeddings.make_embedding.emb_luts.0.weight"
        half = 2 if opt.brnn else 1
        encoder = self.rnn("encoder", hidden_size=HIDDEN // half, bidirectional=opt.brnn)
        memory, last = encoder(self.state[lookup.format("encoder")][source][None])

        def fix(h: Any) -> Any:
            return torch.cat([h[0::2], h[1::2]], 2) if opt.brnn else h

        state = tuple(map(fix, last)) if opt.rnn_type == "LSTM" else fix(last)
        embedded = self.state[lookup.format("decoder")][target][None]
        decoder = self.rnn("decoder", size=EMBEDDING + (HIDDEN if opt.input_feed else 0), hidden_size=HIDDEN)
        feed, outputs = torch.zeros(1, 1, HIDDEN).double(), []
        for t in range(len(target)):
            step = embedded[:, t : t + 1]
            h, state = decoder(torch.cat([step, feed], 2) if opt.input_feed else step, state)
            feed = self.attend(h, memory[0])
            outputs.append(feed[0, 0])
        return torch.stack(outputs) @ self.generator["weight"].T + self.generator["bias"]

    def attend(self, h: Any, memory: Any) -> Any:
        kind, w = self.opt.global_attention, lambda name: self.state[f"decoder.attn.{name}"]
        if kind == "none":
            return h
        query = h[0, 0]
        if kind == "mlp":
            inner = w("linear_query.weight") @ query + w("linear_query.bias") + memory @ w("linear_context.weight").T
            scores = torch.tanh(inner) @ w("v.weight")[0]
        else:
            scores = memory @ (w("linear_in.weight") @ query if kind == "general" else query)
        context = scores.softmax(0) @ memory
        out = w("linear_out.weight") @ torch.cat([context, query])
        return (out + w("linear_out.bias") if kind == "mlp" else torch.tanh(out))[None, None]


KINDS = [
    ("LSTM", 2, True, True, "general"),
    ("LSTM", 1, False, True, "mlp"),
    ("LSTM", 2, True, False, "mlp"),
    ("GRU", 1, True, True, "dot"),
    ("GRU", 2, False, False, "general"),
    ("RNN", 2, False, False, "none"),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_checkpoints_compute_what_the_definition_says(kind: Any, backend: str, tmp_path: Path) -> None:
    model = fastseq.load_model(checkpoint(tmp_path / "model.pt", *kind))
    written = Written(torch.load(tmp_path / "model.pt", weights_only=False))
    sources, targets = [s for s, _ in SENTENCES], [[2, *t] for _, t in SENTENCES]
    for mine, source, target in zip(model.decode(sources, targets), sources, targets, strict=True):
        np.testing.assert_allclose(mine, written.logits(source, target).numpy(), rtol=0, atol=1e-5)
    assert model.config.bos_token_id == 2
    assert model.vocabulary.encode("a b c") == [4, 5, 6]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] != "RNN"], ids=str)
def test_checkpoints_compute_what_opennmt_computes(kind: Any, tmp_path: Path) -> None:
    pytest.importorskip("onmt.encoders.rnn_encoder", reason="OpenNMT-py is not installed", exc_type=ImportError)
    from onmt.decoders.decoder import InputFeedRNNDecoder, StdRNNDecoder
    from onmt.encoders.rnn_encoder import RNNEncoder
    from onmt.modules import Embeddings

    path = checkpoint(tmp_path / "model.pt", *kind)
    values = torch.load(path, weights_only=False)
    opt, state = values["opt"], values["model"]
    sides = [Embeddings(EMBEDDING, len(tokens), word_padding_idx=1) for tokens in (SOURCE, TARGET)]
    encoder = RNNEncoder.from_opt(opt, sides[0])
    decoder = (InputFeedRNNDecoder if opt.input_feed else StdRNNDecoder).from_opt(opt, sides[1])
    for name, module in (("encoder.", encoder), ("decoder.", decoder)):
        module.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        module.eval()
    model = fastseq.load_model(path)
    with torch.inference_mode():
        for source, target in SENTENCES:
            ids = torch.tensor([source])[..., None]
            memory, last, _ = encoder(ids)
            decoder.init_state(ids, memory, last)
            output, _ = decoder(torch.tensor([[2, *target]])[..., None], memory)
            expected = output[0] @ values["generator"]["weight"].T + values["generator"]["bias"]
            np.testing.assert_allclose(model.decode([source], [[2, *target]])[0], expected.numpy(), rtol=0, atol=1e-5)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("this must not be printed",)


def test_hostile_pickles_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for changes in ({"opt": Evil()}, {"vocab": {"src": Evil()}}, {"opt": argparse.ArgumentParser}):
        with pytest.raises(ValueError, match=r"model\.pt: global '.*' is refused"):
            fastseq.load_model(checkpoint(tmp_path / "model.pt", *KINDS[0], **changes))
    assert "printed" not in capsys.readouterr().out


def test_what_is_not_supported_is_named(tmp_path: Path) -> None:
    opt = options(*KINDS[0])
    opt.coverage_attn, opt.rnn_type, opt.bridge = True, "SRU", True
    with pytest.raises(ValueError, match="rnn_type is 'SRU', coverage_attn is True, bridge is True"):
        fastseq.load_model(checkpoint(tmp_path / "model.pt", *KINDS[0], opt=opt))
    opt = argparse.Namespace(encoder_type="transformer")
    with pytest.raises(ValueError, match="encoder_type is 'transformer'"):
        fastseq.load_model(checkpoint(tmp_path / "model.pt", *KINDS[0], opt=opt))


def test_missing_and_foreign_tensors_are_named(tmp_path: Path) -> None:
    state = tensors(*KINDS[0])
    del state["decoder.attn.linear_in.weight"], state["encoder.rnn.bias_ih_l1"]
    state["decoder.extra"] = torch.zeros(1)
    with pytest.raises(ValueError) as error:
        fastseq.load_model(checkpoint(tmp_path / "model.pt", *KINDS[0], model=state))
    for words in ("bias_ih_l1 is missing", "linear_in.weight is missing", "decoder.extra is not expected"):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab": {"src": SOURCE}}, "vocab has no lists src and tgt; expected a checkpoint of OpenNMT-py 3"),
        ({"vocab": {"src": SOURCE, "tgt": ["a"]}}, "the target vocabulary has no <blank>"),
        ({"model": 3}, "model: is no dictionary of tensors"),
        ({"model": {"encoder.rnn.weight_ih_l0": 3}}, "entry 'encoder.rnn.weight_ih_l0' is a int; expected tensors"),
        ({"opt": [3]}, "opt is a list; expected options"),
    ],
)
def test_checkpoints_of_another_shape_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        fastseq.load_model(checkpoint(tmp_path / "model.pt", *KINDS[0], **changes))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    content = checkpoint(tmp_path / "model.pt", *KINDS[1]).read_bytes()
    generator = np.random.default_rng(1)
    for size in (0, 100, len(content) // 2):
        (tmp_path / "model.pt").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"model\.pt"):
            fastseq.load_model(tmp_path / "model.pt")
    for _ in range(60):
        damaged = bytearray(content)
        damaged[int(generator.integers(len(content)))] ^= int(generator.integers(1, 256))
        (tmp_path / "model.pt").write_bytes(damaged)
        try:
            fastseq.load_model(tmp_path / "model.pt")
        except ValueError as error:
            assert "model.pt" in str(error)
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="no model folder"):
        fastseq.load_model(tmp_path / "model.txt")
