"""LSTM checkpoints of fairseq.

fairseq itself is not installed: the model is written down a second time in PyTorch from its definition
(`fairseq/models/lstm.py`), in float64. In float32 a logit is off by a few hundred roundings of numbers around 1.
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

SIZES = (9, 11)
SENTENCES = [([4, 5, 6, 2], [5, 9, 4]), ([2], []), ([8, 8, 4, 5, 7, 6, 2], [4, 4, 10, 7])]
BASE: dict[str, Any] = {
    "arch": "lstm",
    "criterion": "cross_entropy",
    "encoder_embed_dim": 5,
    "encoder_hidden_size": 6,
    "encoder_layers": 2,
    "encoder_bidirectional": True,
    "decoder_embed_dim": 7,
    "decoder_hidden_size": 8,
    "decoder_layers": 2,
    "decoder_out_embed_dim": 8,
    "decoder_attention": "1",
    "share_decoder_input_output_embed": False,
    "source_lang": "de",
    "target_lang": "en",
}
KINDS: list[dict[str, Any]] = [
    {},
    {"encoder_bidirectional": False, "encoder_hidden_size": 8, "encoder_layers": 1, "decoder_layers": 1},
    {"decoder_out_embed_dim": 7, "share_decoder_input_output_embed": True},
    {"decoder_attention": "0", "decoder_out_embed_dim": 3},
]


class Written(nn.Module):
    """The model as fairseq defines it, one sentence at a time."""

    def __init__(self, o: dict[str, Any]) -> None:
        super().__init__()
        self.o, layers, hidden = o, o["encoder_layers"], o["decoder_hidden_size"]
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.embed_tokens = nn.Embedding(SIZES[0], o["encoder_embed_dim"], padding_idx=1)
        self.encoder.lstm = nn.LSTM(
            o["encoder_embed_dim"], o["encoder_hidden_size"], layers, bidirectional=o["encoder_bidirectional"]
        )
        width = o["encoder_hidden_size"] * (2 if o["encoder_bidirectional"] else 1)
        self.decoder.embed_tokens = nn.Embedding(SIZES[1], o["decoder_embed_dim"], padding_idx=1)
        if width != hidden:
            self.decoder.encoder_hidden_proj, self.decoder.encoder_cell_proj = (
                nn.Linear(width, hidden) for _ in range(2)
            )
        first = o["decoder_embed_dim"] + hidden
        self.decoder.layers = nn.ModuleList(nn.LSTMCell(hidden if i else first, hidden) for i in range(layers))
        if o["decoder_attention"] == "1":
            self.decoder.attention = nn.Module()
            self.decoder.attention.input_proj = nn.Linear(hidden, width, bias=False)
            self.decoder.attention.output_proj = nn.Linear(hidden + width, hidden, bias=False)
        if hidden != o["decoder_out_embed_dim"]:
            self.decoder.additional_fc = nn.Linear(hidden, o["decoder_out_embed_dim"])
        if not o["share_decoder_input_output_embed"]:
            self.decoder.fc_out = nn.Linear(o["decoder_out_embed_dim"], SIZES[1])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)

    def encode(self, source: list[int]) -> Any:
        memory, state = self.encoder.lstm(self.encoder.embed_tokens(torch.tensor(source))[:, None])
        halves = 2 if self.o["encoder_bidirectional"] else 1
        joined = [s.view(-1, halves, s.shape[-1]).flatten(1) for s in state]  # (layers, width)
        return memory[:, 0], joined

    @torch.inference_mode()
    def logits(self, source: list[int], target: list[int]) -> Any:
        decoder, (memory, (h, c)) = self.decoder, self.encode(source)
        if hasattr(decoder, "encoder_hidden_proj"):
            h, c = decoder.encoder_hidden_proj(h), decoder.encoder_cell_proj(c)
        states = [(h[i : i + 1], c[i : i + 1]) for i in range(len(decoder.layers))]
        feed, outputs = torch.zeros(1, self.o["decoder_hidden_size"]).double(), []
        for token in target:
            x = torch.cat((decoder.embed_tokens(torch.tensor([token])), feed), 1)
            for i, cell in enumerate(decoder.layers):
                states[i] = cell(x, states[i])
                x = states[i][0]
            if hasattr(decoder, "attention"):
                weights = (memory @ decoder.attention.input_proj(x)[0]).softmax(0)
                x = torch.tanh(decoder.attention.output_proj(torch.cat(((weights @ memory)[None], x), 1)))
            feed = x
            outputs.append(x[0])
        y = torch.stack(outputs)
        if hasattr(decoder, "additional_fc"):
            y = decoder.additional_fc(y)
        shared = self.o["share_decoder_input_output_embed"]
        return y @ decoder.embed_tokens.weight.T if shared else decoder.fc_out(y)


def written(changes: dict[str, Any]) -> Written:
    torch.manual_seed(0)
    return Written(BASE | changes).double().eval()


def write(path: Path, changes: dict[str, Any], new: bool = False, **values: Any) -> Path:
    """As fairseq saves it, with an optimizer's state; `new`: since version 0.10."""
    options = argparse.Namespace(**(BASE | changes))
    task = {"_name": "translation", "source_lang": "de", "target_lang": "en"}
    old = {"args": options}
    config = {"args": None, "cfg": {"model": options, "task": task, "criterion": {"_name": "cross_entropy"}}}
    model = {name: tensor.float() for name, tensor in written(changes).state_dict().items()}
    extra = {"extra_state": {"epoch": 3, "val_loss": 1.5}, "last_optimizer_state": {"state": {0: {"step": 4}}}}
    torch.save({"model": model} | extra | (config if new else old) | values, path)
    return path


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_checkpoints_compute_what_the_definition_says(changes: dict[str, Any], backend: str, tmp_path: Path) -> None:
    model = fastseq.load_model(write(tmp_path / "model.pt", changes, new=bool(changes)))
    definition = written(changes)
    sources, targets = [s for s, _ in SENTENCES], [[2, *t] for _, t in SENTENCES]
    for memory, source in zip(model.encode(sources), sources, strict=True):
        expected = definition.encode(source)[0].detach().numpy()
        np.testing.assert_allclose(memory, expected, rtol=0, atol=1e-5)
    for mine, source, target in zip(model.decode(sources, targets), sources, targets, strict=True):
        np.testing.assert_allclose(mine, definition.logits(source, target).numpy(), rtol=0, atol=1e-5)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (2, 2, 1)


@pytest.mark.parametrize("changes", KINDS, ids=str)
@pytest.mark.parametrize("beams", [1, 3])
def test_generated_tokens_are_those_of_a_search_over_the_definition(
    changes: dict[str, Any], beams: int, backend: str, tmp_path: Path
) -> None:
    model, definition = fastseq.load_model(write(tmp_path / "model.pt", changes)), written(changes)

    def step(ids: Any, state: Any) -> Any:
        prefixes = np.concatenate((state["prefix"], ids[:, None]), axis=1)
        rows = [
            definition.logits(SENTENCES[int(s)][0], list(p))[-1] for s, p in zip(state["of"], prefixes, strict=True)
        ]
        return torch.stack(rows).float().numpy(), {"prefix": prefixes, "of": state["of"]}

    count = len(SENTENCES)
    start = {"prefix": np.zeros((count, 0), np.int64), "of": np.arange(count)}
    options = {"num_beams": beams, "max_length": 8}
    expected = fastseq.beam_search(step, start, batch_size=count, start_id=2, eos_id=2, **options)
    found = model.generate([s for s, _ in SENTENCES], **options)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.tokens == theirs.tokens
        assert mine.score == pytest.approx(theirs.score, abs=1e-4)


def test_dictionaries_beside_the_file_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt", {}, new=True)
    with pytest.raises(ValueError, match="no vocabulary"):
        _ = fastseq.load_model(path).vocabulary
    for language, size in zip(("de", "en"), SIZES, strict=True):
        (tmp_path / f"dict.{language}.txt").write_text("".join(f"{language}{i} {9 - i}\n" for i in range(size - 4)))
    vocabulary = fastseq.load_model(path).vocabulary
    assert vocabulary.source == ["<s>", "<pad>", "</s>", "<unk>", "de0", "de1", "de2", "de3", "de4"]
    assert vocabulary.target[4:6] == ["en0", "en1"]
    (tmp_path / "dict.en.txt").write_text("a 3\n")
    with pytest.raises(ValueError, match=r"dict\.en\.txt has 5 tokens with the four special ones; expected 11"):
        fastseq.load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "transformer"}, "arch is 'transformer'; only 'lstm' and its variants are supported"),
        ({"arch": "lstm_lm"}, "arch is 'lstm_lm'"),
        ({"criterion": "adaptive_loss"}, "criterion is 'adaptive_loss'; an adaptive softmax is not supported"),
        ({"decoder_attention": "maybe"}, "decoder_attention is 'maybe'; expected 0 or 1"),
    ],
)
def test_what_is_not_supported_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt", {}, args=argparse.Namespace(**(BASE | changes)))
    with pytest.raises(ValueError, match=message) as error:
        fastseq.load_model(path)
    assert "model.pt" in str(error.value)


def test_missing_foreign_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    state = {name: tensor.float() for name, tensor in written({}).state_dict().items()}
    state["decoder.extra"] = torch.zeros(1)
    del state["decoder.attention.output_proj.weight"], state["encoder.lstm.bias_hh_l1"]
    with pytest.raises(ValueError) as error:
        fastseq.load_model(write(tmp_path / "model.pt", {}, model=state))
    for words in ("output_proj.weight is missing", "bias_hh_l1 is missing", "decoder.extra is not expected"):
        assert words in str(error.value)
    state = {name: tensor.float() for name, tensor in written({}).state_dict().items()}
    for name in ("encoder.embed_tokens.weight", "decoder.layers.0.weight_hh"):
        with pytest.raises(ValueError, match=rf"model\.pt: tensor {name} has shape \(\)"):
            fastseq.load_model(write(tmp_path / "model.pt", {}, model=state | {name: torch.tensor(1.0)}))
    state["decoder.layers.1.weight_ih"] = torch.zeros(32, 3)
    with pytest.raises(ValueError, match=r"decoder\.rnn\.weight_ih_l1 has shape \(32, 3\); expected \(32, 8\)"):
        fastseq.load_model(write(tmp_path / "model.pt", {}, model=state))
