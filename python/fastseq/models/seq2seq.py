"""An encoder-decoder model, packed for one backend: generation, scoring, attention."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastseq import _backend
from fastseq.models.base import Floats, HasVocabulary, Model, split, split_parts
from fastseq.models.config import Seq2SeqConfig
from fastseq.models.generation import GenerationDefaults
from fastseq.models.kinds import EncoderDecoderConfig
from fastseq.models.options import resolve_options
from fastseq.models.ragged import Ids, Offsets, check_positions, ragged, ragged_targets, run_in_parts
from fastseq.search import Generation, GenerationConfig, Outputs, SearchStream, TargetScores
from fastseq.search.inputs import of_sentences
from fastseq.search.stream import OnTokens, run
from fastseq.text import Vocabulary

__all__ = ["Seq2SeqModel"]

# Rows that a stream decodes together: enough to use each weight many times, few enough to bound its memory.
_STREAM_ROWS = 128


class Seq2SeqModel(HasVocabulary, Model):
    """An encoder-decoder model with its weights.

    `load_model` makes one from a folder. A result depends on its own sentence only: on the native backend not a bit of
    it changes with the other sentences of a batch, with their order or with the number of threads.

    Parameters
    ----------
    config : RecurrentSeq2SeqConfig, TransformerSeq2SeqConfig or EncoderDecoderConfig
    tensors : mapping of str to float32 array
        Named and shaped as ``config.tensor_shapes()`` says.
    vocabulary : Vocabulary, optional
        What the ids mean; pipelines need it.
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
    >>> import fastseq
    >>> model = fastseq.pipeline("pronounce", "lstm").model
    >>> [generation] = model.generate([model.vocabulary.encode("speech")])
    >>> model.vocabulary.decode(generation.tokens)
    ['S', 'P', 'IY1', 'CH']
    """

    task = "text2text-generation"
    _config: Seq2SeqConfig | EncoderDecoderConfig

    def __init__(
        self,
        config: Seq2SeqConfig | EncoderDecoderConfig,
        tensors: Mapping[str, Any],
        vocabulary: Vocabulary | None = None,
        backend: str | None = None,
        folder: Path | None = None,
        defaults: GenerationDefaults | None = None,
        compute_type: str = "float32",
    ) -> None:
        defaults = defaults or GenerationDefaults(GenerationConfig(), config.bos_token_id, (config.eos_token_id,))
        super().__init__(config, tensors, backend, folder, defaults.within(config.position_limit), compute_type)
        self._vocabulary = vocabulary
        self._decoding = _backend.get(self._backend).Decoding

    @property
    def config(self) -> Seq2SeqConfig | EncoderDecoderConfig:
        """Sizes and kinds of the parts."""
        return self._config

    @property
    def model_type(self) -> str:
        """The family, as Hugging Face names it, or the kind of our own."""
        return self._config.model_type

    @property
    def vocab_size(self) -> int:
        """Number of target ids."""
        return self._config.target_vocab_size

    def generate(
        self, input_ids: Any, lengths: Any = None, *, on_tokens: OnTokens | None = None, **options: Any
    ) -> list[Generation]:
        """Search the most probable target of each sentence.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
        lengths : sequence of int, optional
            Of the rows of a 2-D array.
        on_tokens : callable, optional
            Called with `StreamedTokens` as soon as tokens are certain; returning False ends the search where it is.
        **options
            Fields of `GenerationConfig`; `decoder_start_token_id` and `eos_token_id`, which the model has of its own;
            `prefix`, `prefix_allowed_tokens_fn` and `logits_processor` as in `fastseq.beam_search` (functions are
            called with some sentences at a time, from any thread); and what else to return: `return_token_log_probs`,
            `return_attention`, `return_logits`, `return_trace` (True or False), `return_top_logits` (how many), see
            `Hypothesis`. Without a limit here and in the folder there may be 256 tokens, or as many as the model has
            positions: the 20 of transformers would cut off most sentences, which their end token ends anyway.

        Returns
        -------
        list of Generation
            One for each sentence, in their order.

        Raises
        ------
        TypeError, ValueError
            If an id, a length or an option is wrong, or a sentence too long for the model's positions.
        """
        outputs, _ = Outputs.split(options)
        if on_tokens is not None or outputs.trace:
            return run(self.stream(input_ids, lengths, **options), on_tokens)
        ids, offsets, resolved, outputs = self._search_arguments(input_ids, lengths, options)
        answers = self._core.generate(ids, offsets, resolved, outputs.resolve())
        return [Generation.from_answers(answer) for answer in answers]

    def stream(self, input_ids: Any, lengths: Any = None, **options: Any) -> SearchStream:
        """Search as `generate` does, and iterate over the tokens as soon as they are certain.

        Parameters
        ----------
        input_ids, lengths, **options
            As in `generate`.

        Returns
        -------
        SearchStream
            An iterator of `StreamedTokens`. Sentences are searched some at a time, in their order, and only as far as
            the stream is read.

        Raises
        ------
        TypeError, ValueError
            As in `generate`.
        """
        ids, offsets, resolved, outputs = self._search_arguments(input_ids, lengths, options)
        size = 1 if outputs.trace else max(1, _STREAM_ROWS // resolved["num_beams"])  # a trace is of one sentence

        def start(first: int) -> Any:
            bounds = offsets[first : first + size + 1]
            own = ids[bounds[0] : bounds[-1]]
            part = of_sentences(resolved, first, len(bounds) - 1)
            return self._decoding(self._core, own, bounds - bounds[0], part, outputs.resolve())

        count = len(offsets) - 1
        parts = [(first, functools.partial(start, first)) for first in range(0, count, size)]
        return SearchStream(parts, count, outputs.trace)

    def _search_arguments(
        self, input_ids: Any, lengths: Any, options: dict[str, Any]
    ) -> tuple[Ids, Offsets, dict[str, Any], Outputs]:
        ids, offsets = self._source(input_ids, lengths)
        inputs = {"encoder_input_ids": split(ids, offsets), **options}
        resolved, outputs = resolve_options(self._config, self._defaults, inputs)
        return ids, offsets, resolved, outputs

    def encode(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the encoder's output of each sentence, (S, memory_size).

        Parameters
        ----------
        input_ids, lengths
            As in `generate`.
        """
        ids, offsets = self._source(input_ids, lengths)
        return split_parts(run_in_parts(self._core.encode, ids, offsets))

    def decode(self, input_ids: Any, target_ids: Any) -> list[Floats]:
        """Return the logits after each given target token (teacher forcing).

        Parameters
        ----------
        input_ids : sequence of sequences of int
        target_ids : sequence of sequences of int
            As the decoder reads them: they begin with the start token.

        Returns
        -------
        list of float32 arrays
            (T, target_vocab_size) of each sentence; row t is the next token's after ``target_ids[b][:t + 1]``.

        Raises
        ------
        TypeError, ValueError
            If an id is wrong, the numbers of sentences differ, or one is too long for the model's positions.
        """
        ids, offsets = self._source(input_ids, None)
        target, target_offsets = self._target(target_ids, len(offsets))
        logits, _ = self._core.decode(ids, offsets, target, target_offsets)
        return split(logits, target_offsets)

    def score(self, input_ids: Any, target_ids: Any, *, length_penalty: float = 1.0) -> TargetScores:
        """Return how probable each target is, its end token included.

        Parameters
        ----------
        input_ids : sequence of sequences of int
        target_ids : sequence of sequences of int
            Without start and end tokens.
        length_penalty : float, default 1.0
            The sum of log-probabilities is divided by the number of tokens, the end token counted, to this power;
            0 leaves the sum.

        Returns
        -------
        TargetScores
            The scores that a search would give the targets, log-probabilities of their tokens, perplexity. As a NumPy
            array: the scores, (B,).
        """
        inputs, targets = self._with_ends(target_ids)
        ids, offsets = self._source(input_ids, None)
        target, target_offsets = self._target(inputs, len(offsets))
        following = np.array([token for row in targets for token in row], np.int32)
        log_probs = self._core.score(ids, offsets, target, target_offsets, following)
        return TargetScores.from_flat(log_probs, target_offsets, length_penalty)

    def attention(self, input_ids: Any, target_ids: Any) -> list[Floats]:
        """Return where the decoder looked when it wrote each target token.

        Parameters
        ----------
        input_ids : sequence of sequences of int
        target_ids : sequence of sequences of int
            Without start and end tokens.

        Returns
        -------
        list of float32 arrays
            (T + 1, S) of each sentence: a row for each target token and one for the end token; every row sums to 1.
            Of a Transformer: the mean over the heads of the last decoder layer.

        Raises
        ------
        ValueError
            If the model has no attention.
        """
        if not self._config.attends:
            raise ValueError("this model has no attention: its decoder sees the encoder's last states only")
        inputs, _ = self._with_ends(target_ids)
        ids, offsets = self._source(input_ids, None)
        target, target_offsets = self._target(inputs, len(offsets))
        matrices: list[Floats] = self._core.decode(ids, offsets, target, target_offsets, True)[1]
        return matrices

    def _with_ends(self, target_ids: Any) -> tuple[list[list[int]], list[list[int]]]:
        """What the decoder reads, [start, tokens], and what it should say, [tokens, end]."""
        flat, offsets = ragged(target_ids, None, self._config.target_vocab_size, "target_ids")
        rows = [row.tolist() for row in split(flat, offsets)]
        start, end = self._defaults.start_id, self._config.eos_token_id
        return [[start, *row] for row in rows], [[*row, end] for row in rows]

    def _source(self, input_ids: Any, lengths: Any) -> tuple[Ids, Offsets]:
        ids, offsets = ragged(input_ids, lengths, self._config.source_vocab_size, "input_ids")
        check_positions(offsets, self._config.source_position_limit, "input_ids")
        return ids, offsets

    def _target(self, target_ids: Any, bounds: int) -> tuple[Ids, Offsets]:
        ids, offsets = ragged_targets(target_ids, self._config.target_vocab_size, bounds - 1)
        check_positions(offsets, self._config.position_limit, "target_ids")
        return ids, offsets
