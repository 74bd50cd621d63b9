"""Decoders that stand alone: they continue what they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastseq import _backend
from fastseq.models.base import Floats, Model, split, split_parts
from fastseq.models.generation import GenerationDefaults
from fastseq.models.kinds import DecoderConfig
from fastseq.models.ragged import Ids, Offsets, check_positions, ragged, run_in_parts
from fastseq.search import Generation, GenerationConfig, Outputs, SearchStream
from fastseq.search.inputs import split_inputs
from fastseq.search.stream import OnTokens, run

__all__ = ["DecoderModel"]


@dataclass(frozen=True)
class _Prompts:
    """Some of the prompts, which one search continues."""

    rows: list[int]  # which ones of the caller's
    ids: Ids
    offsets: Offsets
    options: dict[str, Any]


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
    _config: DecoderConfig

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
        self._decoding = _backend.get(self._backend).Decoding

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

    def generate(
        self, input_ids: Any, lengths: Any = None, *, on_tokens: OnTokens | None = None, **options: Any
    ) -> list[Generation]:
        """Search the most probable continuation of each prompt.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
            Prompts; an empty one stands for the start token alone.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.
        on_tokens : callable, optional
            Called with `StreamedTokens` as soon as tokens are certain; returning False ends the search where it is.
        **options
            Fields of `GenerationConfig`, and `eos_token_id`. As in transformers the prompt counts in `max_length` and
            `min_length`, not in `max_new_tokens` and `min_new_tokens`, and what keeps tokens from being repeated knows
            it. Without a limit here and in the folder there may be 255 new tokens, or as many as the model has
            positions for: the 20 of transformers, prompt included, leave a longer prompt without an answer.
            `prefix_allowed_tokens_fn` and `logits_processor` as in `fastseq.beam_search`; they get the prompt with
            what follows it. Also `return_token_log_probs`, `return_logits`, `return_trace` and `return_top_logits`, see
            `Hypothesis`.

        Returns
        -------
        list of Generation
            One for each prompt, in their order; tokens without the prompt.

        Raises
        ------
        TypeError, ValueError
            If an id, a length or an option is wrong, or there are too few positions.
        """
        outputs, fields = _outputs(options)
        if on_tokens is not None or outputs.trace:
            return run(self.stream(input_ids, lengths, **options), on_tokens)
        ids, offsets = self._prompts(input_ids, lengths)
        generations: list[Generation | None] = [None] * (len(offsets) - 1)
        for part in self._searches(ids, offsets, fields, together=True):
            answers = self._core.generate(part.ids, part.offsets, part.options, outputs.resolve())
            for b, answer in zip(part.rows, answers, strict=True):
                generations[b] = Generation.from_answers(answer)
        return [generation for generation in generations if generation is not None]

    def stream(self, input_ids: Any, lengths: Any = None, **options: Any) -> SearchStream:
        """Search as `generate` does, and iterate over the tokens as soon as they are certain.

        Parameters
        ----------
        input_ids, lengths, **options
            As in `generate`.

        Returns
        -------
        SearchStream
            An iterator of `StreamedTokens`. Prompts are continued one after the other, only as far as the stream is
            read.

        Raises
        ------
        TypeError, ValueError
            As in `generate`.
        """
        outputs, fields = _outputs(options)
        ids, offsets = self._prompts(input_ids, lengths)

        def start(part: _Prompts) -> Any:
            return self._decoding(self._core, part.ids, part.offsets, part.options, outputs.resolve())

        searches = self._searches(ids, offsets, fields, together=False)
        parts: list[tuple[int, Callable[[], Any]]] = [(part.rows[0], partial(start, part)) for part in searches]
        return SearchStream(parts, len(offsets) - 1, outputs.trace)

    def _searches(self, ids: Ids, offsets: Offsets, options: dict[str, Any], together: bool) -> list[_Prompts]:
        """Prompts that one search can continue: of the same limits, and for `logits_processor` of the same length."""
        inputs, fields = split_inputs(options)
        for name in ("prompt", "prefix", "encoder_input_ids"):
            if name in inputs:
                raise ValueError(f"{name} is given; what this model continues is input_ids")
        defaults = self._defaults.override(fields)
        seeds = defaults.resolve(self.vocab_size, encoder_input_ids=(), **inputs)["seed"]
        if len(seeds) > 1 and len(seeds) != len(offsets) - 1:
            raise ValueError(f"seed has {len(seeds)} entries; expected one for each of the {len(offsets) - 1} prompts")
        groups: dict[Any, list[int]] = {}
        for b, size in enumerate(np.diff(offsets).tolist()):
            alike = size if inputs.get("logits_processor") is not None else None
            groups.setdefault((self._limits(defaults.config, size), alike, None if together else b), []).append(b)
        allow = inputs.get("prefix_allowed_tokens_fn")
        searches = []
        for ((new_tokens, at_least), _, _), rows in groups.items():
            prompts = [ids[offsets[b] : offsets[b + 1]] for b in rows]
            read = [prompt.tolist() for prompt in prompts]
            own = inputs | {"prompt": read, "encoder_input_ids": read}  # as in transformers it is the source, too
            if callable(allow):
                own["prefix_allowed_tokens_fn"] = partial(_allowed, allow, rows)
            limits = defaults.override({"max_new_tokens": new_tokens, "min_new_tokens": at_least})
            resolved = limits.resolve(self.vocab_size, **own)
            resolved["seed"] = [seeds[b] for b in rows] if len(seeds) > 1 else seeds
            searches.append(_Prompts(rows, np.concatenate(prompts), np.cumsum([0, *map(len, prompts)]), resolved))
        return searches

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
        return split_parts(run_in_parts(self._core.logits, ids, offsets))

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
        return new_tokens, min(at_least, new_tokens)

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


def _outputs(options: dict[str, Any]) -> tuple[Outputs, dict[str, Any]]:
    outputs, fields = Outputs.split(options)
    if outputs.attention or fields.get("coverage_penalty"):
        raise ValueError("return_attention and coverage_penalty are for models that attend to a source")
    return outputs, fields


def _allowed(allow: Callable[[int, Any], Any], rows: list[int], sentence: int, ids: Any) -> Any:
    return allow(rows[sentence], ids)
