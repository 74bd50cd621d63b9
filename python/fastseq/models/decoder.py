"""Decoders that stand alone: they continue what they are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastseq.models.base import Floats, Model, split
from fastseq.models.generation import GenerationDefaults
from fastseq.models.kinds import DecoderConfig
from fastseq.models.ragged import Ids, Offsets, check_positions, ragged
from fastseq.search import Generation, GenerationConfig, Outputs

__all__ = ["DecoderModel"]


class DecoderModel(Model):
    """A Transformer decoder with its weights; `load_model` makes one from a folder of GPT-2's kind.

    A result depends on its own prompt only: on the native backend not a bit of it changes with the other prompts of a
    batch, with their order or with the number of threads.

    Parameters
    ----------
    config : DecoderConfig
    tensors : mapping of str to float32 array
        Named and shaped as ``config.tensor_shapes()`` says.
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
        Where it comes from.
    defaults : GenerationDefaults, optional
        How it generates unless it is told otherwise.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers; see `fastseq.functional.linear`.

    Raises
    ------
    ValueError
        If tensors are missing, not expected or of another shape; the message names all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastseq.models.stack import StackConfig
    >>> stack = StackConfig(vocab_size=9, hidden_size=4, layers=(0,), num_heads=2, head_size=2, intermediate_size=8,
    ...     activation="gelu", norm="layer", norm_eps=1e-5, norm_first=True, final_norm=True, attention_scale=0.7)
    >>> config = DecoderConfig(model_type="gpt2", decoder=stack, tie_output=True, bos_token_id=0, eos_token_id=8)
    >>> model = DecoderModel(config, {name: np.ones(shape) for name, shape in config.tensor_shapes().items()})
    >>> [len(generation.tokens) for generation in model.generate([[1, 2, 3], [4]], max_new_tokens=5)]
    [5, 5]
    """

    task = "text-generation"

    def __init__(
        self,
        config: DecoderConfig,
        tensors: Mapping[str, Any],
        backend: str | None = None,
        folder: Path | None = None,
        defaults: GenerationDefaults | None = None,
        compute_type: str = "float32",
    ) -> None:
        start, end = config.bos_token_id, config.eos_token_id
        defaults = defaults or GenerationDefaults(GenerationConfig(), start_id=start, eos_ids=(end,))
        super().__init__(config, tensors, backend, folder, defaults, compute_type)
        self._config = config

    @property
    def config(self) -> DecoderConfig:
        """Sizes and kinds of the parts."""
        return self._config

    @property
    def model_type(self) -> str:
        """The family, as Hugging Face names it."""
        return self._config.model_type

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self._config.decoder.vocab_size

    def generate(self, input_ids: Any, lengths: Any = None, **options: Any) -> list[Generation]:
        """Search the most probable continuation of each prompt.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
            Prompts; an empty one stands for the start token alone.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.
        **options
            Fields of `GenerationConfig`, and `eos_token_id`. The prompt counts in `max_length` and `min_length`, and
            not in `max_new_tokens` and `min_new_tokens`. Also `return_token_log_probs`, `return_logits` and
            `return_top_logits`, see `Hypothesis`. Without a limit here and in the folder there may be 255 new tokens,
            or as many as the model has positions for: the 20 of transformers, prompt included, leave a longer prompt
            without an answer.

        Returns
        -------
        list of Generation
            One for each prompt, in their order; tokens without the prompt.

        Raises
        ------
        TypeError, ValueError
            If an id, a length or an option is wrong, or there are too few positions.
        """
        ids, offsets = self._prompts(input_ids, lengths)
        outputs, fields = Outputs.split(options)
        if outputs.attention or outputs.trace:
            raise ValueError("return_attention and return_trace are for models that attend to a source")
        defaults = self._defaults.override(fields)
        defaults.resolve(self.vocab_size)
        reads_back, seeds = _reads_back(defaults.config), _seeds(defaults.config, len(offsets) - 1)
        searches: dict[tuple[int, int, int], list[int]] = {}  # prompts by their limits and what they start with
        for b, size in enumerate(np.diff(offsets)):
            start = int(ids[offsets[b]]) if reads_back else defaults.start_id
            searches.setdefault((*self._limits(defaults.config, int(size)), start), []).append(b)
        generations: list[Generation | None] = [None] * (len(offsets) - 1)
        for (new_tokens, at_least, start), rows in searches.items():
            limits: dict[str, Any] = {"max_new_tokens": new_tokens, "min_new_tokens": at_least}
            limits |= {"decoder_start_token_id": start, "seed": seeds and [seeds[b] for b in rows]}
            prompts = [ids[offsets[b] : offsets[b + 1]] for b in rows]
            # The search looks back at its own start token and prefix; the rest of a prompt only the model sees.
            prefix = [prompt[1:].tolist() for prompt in prompts] if reads_back else None
            read = [prompt[:1] for prompt in prompts] if reads_back else prompts
            search = defaults.override(limits).resolve(self.vocab_size, prefix=prefix)
            bounds = np.cumsum([0, *map(len, read)])
            answers = self._core.generate(np.concatenate(read), bounds, search, outputs.resolve())
            for i, (b, answer) in enumerate(zip(rows, answers, strict=True)):
                generation = Generation.from_answers(answer)
                generations[b] = generation if prefix is None else _without(generation, len(prefix[i]))
        return [generation for generation in generations if generation is not None]

    def logits(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the logits after each token of each sequence, (length, vocab_size).

        Parameters
        ----------
        input_ids, lengths
            As in `generate`.

        Returns
        -------
        list of float32 arrays
        """
        ids, offsets = self._read(input_ids, lengths)
        return split(self._core.logits(ids, offsets), offsets)

    def _limits(self, config: GenerationConfig, size: int) -> tuple[int, int]:
        """Most and fewest new tokens after a prompt of this size."""
        limit = self._config.position_limit
        room = None if limit is None else limit - size + 1
        if config.max_new_tokens is not None:
            new_tokens = config.max_new_tokens
        elif config.max_length is not None:
            new_tokens = config.max_length - size
            if new_tokens < 1:
                raise ValueError(f"max_length is {config.max_length}; expected more than the {size} tokens of a prompt")
        else:
            new_tokens = min(255, 255 if room is None else room)
        if room is not None and new_tokens > room:
            raise ValueError(
                f"a prompt of {size} tokens and {new_tokens} new ones need {size + new_tokens - 1} positions; the model"
                f" has {limit}"
            )
        at_least = config.min_new_tokens
        if at_least is None:
            at_least = max(0, (config.min_length or 0) - size)
        return new_tokens, at_least

    def _prompts(self, input_ids: Any, lengths: Any) -> tuple[Ids, Offsets]:
        ids, offsets = self._read(input_ids, lengths)
        if (np.diff(offsets) > 0).all():
            return ids, offsets
        rows = [row.tolist() or [self._config.bos_token_id] for row in split(ids, offsets)]
        return ragged(rows, None, self.vocab_size, "input_ids")

    def _read(self, input_ids: Any, lengths: Any) -> tuple[Ids, Offsets]:
        ids, offsets = ragged(input_ids, lengths, self.vocab_size, "input_ids")
        check_positions(offsets, self._config.position_limit, "input_ids")
        return ids, offsets

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config!r}, backend={self._backend!r})"


def _reads_back(config: GenerationConfig) -> bool:
    """Whether the tokens before it, those of the prompt too, change what may come next."""
    sequences = [*(config.sequence_bias or ()), *((words, 0.0) for words in config.bad_words_ids or ())]
    return (
        config.repetition_penalty != 1.0
        or config.no_repeat_ngram_size > 0
        or any(len(tokens) > 1 for tokens, _ in sequences)
    )


def _seeds(config: GenerationConfig, count: int) -> list[int] | None:
    """The seed of each prompt."""
    if config.seed is None:
        return None
    seeds = [config.seed] if isinstance(config.seed, int) else list(config.seed)
    if len(seeds) not in (1, count):
        raise ValueError(f"seed has {len(seeds)} entries; expected one for each of the {count} sentences")
    return seeds * count if len(seeds) == 1 else seeds


def _without(generation: Generation, size: int) -> Generation:
    """Return a generation without the first tokens of each hypothesis, and what belongs to them."""
    return Generation(
        [
            dataclasses.replace(
                hypothesis,
                **{
                    name: value[size:]
                    for name in ("tokens", "token_log_probs", "logits", "top_logits", "top_tokens")
                    if (value := getattr(hypothesis, name)) is not None
                },
            )
            for hypothesis in generation.hypotheses
        ]
    )
