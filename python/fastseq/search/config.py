"""The options of greedy and beam search, with Hugging Face's names and meanings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastseq.search.checks import check_length_penalty, check_token, check_tokens
from fastseq.search.inputs import resolve_inputs
from fastseq.search.rules import CHECKS, LIMITS, check_together, longest_length, lowered_minima

__all__ = ["GenerationConfig"]

TokenLists: TypeAlias = Sequence[Sequence[int]]


@dataclass(frozen=True)
class GenerationConfig:
    """How to turn logits into sequences.

    Processors change the scores of the next token in Hugging Face's order: sequence_bias, encoder_repetition_penalty,
    repetition_penalty, no_repeat_ngram_size, encoder_no_repeat_ngram_size, bad_words_ids, min_length,
    prefix_allowed_tokens_fn, forced_bos_token_id, forced_eos_token_id, remove_invalid_values,
    exponential_decay_length_penalty, suppress_tokens, begin_suppress_tokens, logits_processor, those of sampling,
    renormalize_logits. As there, beam search gives them log-probabilities, greedy search and sampling logits.

    Parameters
    ----------
    num_beams : int, default 1
        Sequences kept at every step; 1 is greedy search.
    num_return_sequences : int, default 1
        Hypotheses returned for each sentence, at most `num_beams` unless they are samples or alternatives. There are
        fewer only if fewer exist.
    max_length : int, optional
        Largest number of tokens, the start token, the prefix and the end token counted; 256 if `max_new_tokens` is not
        given either.
    max_new_tokens : int, optional
        The same without the start token and the prefix. Give one of the two.
    min_length : int, optional
        No end token before there are this many tokens, the start token and the prefix counted.
    min_new_tokens : int, optional
        The same without the start token and the prefix. Give one of the two.
    length_penalty : float, default 1.0
        Scores are sums of log-probabilities divided by the number of generated tokens to this power: above 0 favours
        long sequences, below 0 short ones.
    coverage_penalty : float, default 0.0
        beta: adds beta * sum over source positions of log(min(1, sum of the attention on it)) to each score, after the
        division by the length, so that a target that passes over parts of its source scores less. For models that
        attend to a source.
    early_stopping : bool or "never", default False
        When the search of a sentence ends once `num_beams` hypotheses have finished. True: at once. False: when the
        best running beam, scored at its present length, does not beat the worst of them. ``"never"``: when it could
        not beat it at any length up to `max_length`.
    patience : float, default 1.0
        With ``early_stopping=True`` a search ends with ``round(num_beams * patience)`` finished hypotheses.
    preset : {"hf", "ct2", "marian"}, default "hf"
        Whose rules end the search of a sentence. "hf": see `early_stopping`. "ct2": as with ``early_stopping=True``;
        but where `length_penalty` is 0, as soon as the best candidate and `num_return_sequences` hypotheses have
        finished. "marian": a finished hypothesis keeps its place among the `num_beams`, fewer go on, and the search
        ends when no place is left. All divide the sum of log-probabilities by ``length ** length_penalty``, the end
        token counted; for "ct2" the prefix too, after which an end token has to be the best candidate.
    num_beam_groups : int, default 1
        Diverse beam search: so many equal groups of beams that search on their own.
    diversity_penalty : float, default 0.0
        Taken from the score of a token for each beam of an earlier group that has chosen it in the same step.
    return_alternatives : bool, default False
        Return hypotheses that differ in the first token after the prefix: one for each of the `num_return_sequences`
        best tokens, in their order, each the best of a search of its own.
    force_words_ids : list of lists of int, or of lists of lists of int, optional
        Phrases that every hypothesis contains (lexically constrained beam search). A list of lists in place of a phrase
        means alternatives, of which one has to occur. It takes beams: as many as there are phrases are a good start.
    do_sample : bool, default False
        Draw tokens at random; with several beams, draw the continuations of all beams without replacement.
    temperature : float, default 1.0
        Scores are divided by it.
    top_k : int, default 50
        Only so many of the best tokens stay in the draw; 0 for all.
    top_p : float, default 1.0
        Only the best tokens that make up this probability stay.
    min_p : float, default 0.0
        Only tokens at least this many times as probable as the best stay.
    typical_p : float, default 1.0
        Only tokens whose surprise is nearest to the expected one, making up this probability, stay.
    top_h : float, default 0.0
        Of the 100 best tokens only as many of the best stay as make up this share of their entropy; 0 for all.
    epsilon_cutoff : float, default 0.0
        Only tokens at least this probable stay.
    eta_cutoff : float, default 0.0
        Only tokens of at least min(eta, sqrt(eta) * exp(-entropy)) in probability stay.
    seed : int or list of int, optional
        One for all sentences, or one for each: what is drawn for a sentence depends on its seed and on nothing else of
        its batch. Another one every time if it is not given.
    sequence_bias : dict of tuple of int to float, optional
        Added to the score of the last token of a sequence wherever the tokens before it have just been generated.
    encoder_repetition_penalty : float, default 1.0
        Above 1 makes tokens of the source more probable: negative scores are divided by it, others multiplied.
    repetition_penalty : float, default 1.0
        Above 1 makes tokens that the target already has less probable: negative scores are multiplied by it, others
        divided. The start token counts.
    no_repeat_ngram_size : int, default 0
        No sequence of so many tokens occurs twice in a target; 0 for no limit.
    encoder_no_repeat_ngram_size : int, default 0
        No sequence of so many tokens of the source occurs in the target; 0 for no limit.
    bad_words_ids : list of lists of int, optional
        Sequences that must not be generated. An end token alone is not forbidden by it.
    forced_bos_token_id : int, optional
        The token after the start token, for example the target language; not with a prefix.
    forced_eos_token_id : int or list of int, optional
        The last token where a sequence reaches `max_length`.
    remove_invalid_values : bool, default False
        Take NaN for 0 and infinities for the largest finite numbers instead of refusing them.
    exponential_decay_length_penalty : tuple of int and float, optional
        ``(start, factor)``: from `start` generated tokens on the end token's score s grows by
        ``|s| * (factor ** (tokens since) - 1)``.
    suppress_tokens : list of int, optional
        Tokens that are never generated.
    begin_suppress_tokens : list of int, optional
        Tokens that are not generated first (after a forced first token: second).
    renormalize_logits : bool, default False
        Make the scores log-probabilities again after all that changes them.

    Raises
    ------
    TypeError
        If a value has the wrong type.
    ValueError
        If a value is out of its range, both names of one limit are given, or options contradict each other.

    Examples
    --------
    >>> config = GenerationConfig(num_beams=4, max_new_tokens=20)
    >>> config.resolve(start_id=0, eos_id=2)["max_length"]
    21
    """

    num_beams: int = 1
    num_return_sequences: int = 1
    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    min_new_tokens: int | None = None
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    early_stopping: bool | Literal["never"] = False
    patience: float = 1.0
    preset: Literal["hf", "ct2", "marian"] = "hf"
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    return_alternatives: bool = False
    force_words_ids: Sequence[Any] | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    top_h: float = 0.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    seed: int | Sequence[int] | None = None
    sequence_bias: Mapping[tuple[int, ...], float] | Sequence[Any] | None = None
    encoder_repetition_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: TokenLists | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | Sequence[int] | None = None
    remove_invalid_values: bool = False
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: Sequence[int] | None = None
    begin_suppress_tokens: Sequence[int] | None = None
    renormalize_logits: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # None, where it is the default, means that the option is not used.
            if field.name in CHECKS and not (value is None and field.default is None):
                object.__setattr__(self, field.name, CHECKS[field.name](field.name, value))
        longest = longest_length(self, 0)
        object.__setattr__(self, "length_penalty", check_length_penalty(self.length_penalty, longest))
        check_together(self)

    def override(self, **options: Any) -> GenerationConfig:
        """Return a copy with other values; giving one name of a limit drops the other one.

        A minimum of length that a given maximum leaves no room for is lowered to it.

        Parameters
        ----------
        **options
            Fields of this class.

        Returns
        -------
        GenerationConfig

        Raises
        ------
        TypeError
            If an option is not a field.

        Examples
        --------
        >>> GenerationConfig(max_length=100).override(max_new_tokens=5).max_length is None
        True
        """
        unknown = sorted(options.keys() - {field.name for field in dataclasses.fields(self)})
        if unknown:
            known = ", ".join(field.name for field in dataclasses.fields(self))
            raise TypeError(f"unknown option {', '.join(unknown)}; expected some of {known}")
        options |= lowered_minima(vars(self), options)
        for pair in LIMITS:
            for given, other in (pair, pair[::-1]):
                if options.get(given) is not None:
                    options.setdefault(other, None)
        return dataclasses.replace(self, **options)

    def resolve(
        self,
        *,
        start_id: int,
        eos_id: int | Iterable[int],
        prompt: Iterable[Any] | None = None,
        prefix: Iterable[Any] | None = None,
        encoder_input_ids: Iterable[Any] | None = None,
        prefix_allowed_tokens_fn: Any = None,
        logits_processor: Any = None,
    ) -> dict[str, Any]:
        """Return the options as the search classes take them, every one present.

        Parameters
        ----------
        start_id : int
            The token that every sequence starts with.
        eos_id : int or iterable of int
            The end token or tokens; none: sequences end at `max_length` only.
        prompt, prefix, encoder_input_ids, prefix_allowed_tokens_fn, logits_processor
            As in `fastseq.beam_search`.

        Returns
        -------
        dict
            The fields of this class, `start_id`, `eos_ids` and the further arguments. ``max_length`` is the largest of
            any sentence, whichever way it was given.

        Raises
        ------
        TypeError, ValueError
            If an id is not an integer from 0 to 2**31 - 1, an argument has the wrong type, or `encoder_input_ids` is
            missing for an option that needs it.

        Examples
        --------
        >>> GenerationConfig(max_new_tokens=2).resolve(start_id=1, eos_id=[2, 3], prefix=[[7], [7, 8]])["max_length"]
        5
        """
        options = dict(vars(self))
        needs_source = self.encoder_repetition_penalty != 1.0 or self.encoder_no_repeat_ngram_size > 0
        if needs_source and encoder_input_ids is None:
            raise ValueError(
                "encoder_input_ids is missing; encoder_repetition_penalty and encoder_no_repeat_ngram_size need it"
            )
        sources = encoder_input_ids if needs_source else None
        inputs = resolve_inputs(prompt, prefix, sources, prefix_allowed_tokens_fn, logits_processor)
        seed = (int.from_bytes(os.urandom(8), "little"),) if self.seed is None and self.do_sample else self.seed
        unused = {name: () for name in _LISTS if options[name] is None}
        longest = longest_length(self, max(map(len, inputs["prefix"]), default=0))
        return (
            options
            | unused
            | inputs
            | {
                "max_length": longest,
                "min_length": min(self.min_length or 0, longest),
                "min_new_tokens": self.min_new_tokens or 0,
                "seed": () if seed is None else seed,
                "start_id": check_token("start_id", start_id),
                "eos_ids": list(check_tokens("eos_id", eos_id)),
            }
        )


_LISTS = (
    "force_words_ids",
    "sequence_bias",
    "bad_words_ids",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
)
