"""An encoder-decoder that is four tables, as a module for `generate` of transformers and as a step function.

The logits after a target of n tokens, the last two of which are a, b, whose source has the ids s are ``first[a] +
second[b] + fourth[n] + sum of third[s]``, added in float32 in that order on both sides: both searches see the same
bits. Without the position permuted targets would have equal scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

import fastseq

VOCAB_SIZE = 13
PAD, EOS, START = 0, 2, 3


class TableConfig(PretrainedConfig):
    model_type = "fastseq-test-table"

    def __init__(self, **options: Any) -> None:
        options = {"is_encoder_decoder": True, "pad_token_id": PAD, "eos_token_id": EOS, **options}
        super().__init__(
            **{"decoder_start_token_id": START, "bos_token_id": START, "vocab_size": VOCAB_SIZE, **options}
        )


class Encoder(torch.nn.Module):
    main_input_name = "input_ids"

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = table

    def forward(self, input_ids: torch.Tensor, **_: Any) -> BaseModelOutput:
        total = self.table[input_ids[:, 0]]
        for position in range(1, input_ids.shape[1]):
            total = total + self.table[input_ids[:, position]]
        return BaseModelOutput(last_hidden_state=total[:, None])


class TableModule(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_cache_class = False

    def __init__(self, tables: np.ndarray) -> None:
        super().__init__(TableConfig())
        self.first, self.second, third, self.fourth = (torch.from_numpy(table) for table in tables)
        self.encoder = Encoder(third)
        self.weight = torch.nn.Parameter(torch.zeros(1))  # generate asks the parameters for device and dtype

    def get_encoder(self, *_: Any, **__: Any) -> torch.nn.Module:
        return self.encoder

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, encoder_outputs: Any = None, **_: Any
    ) -> dict[str, Any]:
        return {"decoder_input_ids": input_ids, "encoder_outputs": encoder_outputs}

    def forward(self, input_ids: Any = None, decoder_input_ids: Any = None, encoder_outputs: Any = None, **_: Any):
        last, previous = decoder_input_ids[:, -1], decoder_input_ids[:, max(0, decoder_input_ids.shape[1] - 2)]
        logits = self.first[previous] + self.second[last] + self.fourth[decoder_input_ids.shape[1]]
        logits = logits + encoder_outputs.last_hidden_state[:, 0]
        return Seq2SeqLMOutput(logits=logits[:, None])


class TableSubject:
    """One batch of sources under random tables."""

    def __init__(self, seed: int, batch_size: int = 3, scale: float = 1.5) -> None:
        generator = np.random.default_rng(seed)
        self.tables = (generator.standard_normal((4, VOCAB_SIZE, VOCAB_SIZE)) * scale).astype(np.float32)
        self.tables[1][:, EOS] += 1.0
        self.tables[2] *= 0.5
        self.module = TableModule(self.tables).eval()
        self.source = generator.integers(4, VOCAB_SIZE, (batch_size, 5))
        self.batch_size = batch_size

    def generate(self, **options: Any) -> list[list[tuple[list[int], float | None]]]:
        """For each sentence the hypotheses of transformers: tokens after the start token, and score."""
        count = options.get("num_return_sequences", 1)
        with torch.no_grad():
            output = self.module.generate(
                torch.from_numpy(self.source), return_dict_in_generate=True, output_scores=True, use_cache=False,
                **{"do_sample": False, **options},
            )  # fmt: skip
        scores = output.sequences_scores.tolist() if options.get("num_beams", 1) > 1 else [None] * len(output.sequences)
        prompt = options["decoder_input_ids"].shape[1] if "decoder_input_ids" in options else 1
        answers = []
        for sequence, score in zip(output.sequences.tolist(), scores, strict=True):
            end = sequence.index(EOS, prompt) if EOS in sequence[prompt:] else len(sequence)
            answers.append((sequence[1:end], score))
        return [answers[i : i + count] for i in range(0, len(answers), count)]

    def step(self, ids: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        first, second, _, fourth = self.tables
        length = state["length"] + 1
        logits = first[state["previous"]] + second[ids] + fourth[length] + state["source"]
        return logits, {"previous": ids, "length": length, "source": state["source"]}

    def search(self, backend: str, **options: Any) -> list[list[tuple[list[int], float]]]:
        """The same of our search."""
        total = self.tables[2][self.source[:, 0]]
        for position in range(1, self.source.shape[1]):
            total = total + self.tables[2][self.source[:, position]]
        state = {"previous": np.full(self.batch_size, START), "length": 0, "source": total}
        with fastseq.use_backend(backend):
            results = fastseq.beam_search(
                self.step, state, batch_size=self.batch_size, start_id=START, eos_id=EOS,
                encoder_input_ids=self.source.tolist(), **{"num_beams": 1, **options},
            )  # fmt: skip
        return [[(h.tokens, h.score) for h in result.hypotheses] for result in results]
