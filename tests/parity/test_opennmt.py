"""Checkpoints of OpenNMT-py: read without it, and without running what they hold.

The models are written down a second time in `torch_opennmt.py`; where OpenNMT-py is installed, its own classes are
compared, too. PyTorch computes in float64; in float32 a logit is off by a few hundred roundings of numbers around 1.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_opennmt import (  # noqa: E402
    EMBEDDING,
    HIDDEN,
    SENTENCES,
    SOURCE,
    TARGET,
    Written,
    checkpoint,
    options,
    tensors,
)

import fastseq  # noqa: E402

KINDS = [
    ("LSTM", 2, True, True, "general"),
    ("LSTM", 1, False, True, "mlp"),
    ("LSTM", 2, True, False, "mlp"),
    ("GRU", 1, True, True, "dot"),
    ("GRU", 2, False, False, "general"),
    ("RNN", 2, False, False, "none"),
]


CELLS, LAYERS, ATTENTIONS = ("LSTM", "GRU"), (1, 3), ("general", "mlp", "dot")
EVERY_KIND = itertools.product(CELLS, LAYERS, (True, False), (True, False), ATTENTIONS)


@pytest.mark.parametrize("kind", [*KINDS, *(kind for kind in EVERY_KIND if kind not in KINDS)], ids=str)
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


def test_embeddings_that_are_shared_are_read_as_each_part_has_them(backend: str, tmp_path: Path) -> None:
    """`-share_embeddings` and `-share_decoder_embeddings`: three tensors of the file are one in memory."""
    kind = ("LSTM", 2, True, True, "general")
    hidden = HIDDEN
    state, table = tensors(*kind), torch.rand(len(TARGET), hidden) - 0.5
    for part in ("encoder", "decoder"):
        state[f"{part}.embeddings.make_embedding.emb_luts.0.weight"] = table
        first = f"{part}.rnn.weight_ih_l0" if part == "encoder" else "decoder.rnn.layers.0.weight_ih"
        rows = state[first].shape[0]
        state[first] = torch.rand(rows, hidden + (hidden if part == "decoder" else 0)) - 0.5
    state["encoder.rnn.weight_ih_l0_reverse"] = torch.rand(state["encoder.rnn.weight_ih_l0"].shape) - 0.5
    path = checkpoint(
        tmp_path / "model.pt",
        *kind,
        model=state,
        generator={"weight": table, "bias": torch.rand(len(TARGET))},
        vocab={"src": TARGET, "tgt": TARGET},
    )
    model = fastseq.load_model(path)
    written = Written(torch.load(path, weights_only=False), hidden)
    sources, targets = [[4, 5, 6], [7]], [[2, 4], [2, 7, 7]]
    for mine, source, target in zip(model.decode(sources, targets), sources, targets, strict=True):
        np.testing.assert_allclose(mine, written.logits(source, target).numpy(), rtol=0, atol=1e-5)


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
    for name, value in (("copy_attn", True), ("coverage_attn", True), ("context_gate", "both"), ("bridge", True)):
        opt = options(*KINDS[0])
        setattr(opt, name, value)
        with pytest.raises(ValueError, match=f"options that are not supported: {name} is {value!r}"):
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
