"""The options of greedy and beam search, with Hugging Face's names and meanings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastseq.search.checks import (
    check_biases,
    check_decay,
    check_integer,
    check_length_penalty,
    check_number,
    check_token,
    check_token_lists,
    check_tokens,
)

__all__ = ["GenerationConfig"]

TokenLists: TypeAlias = Sequence[Sequence[int]]


@dataclass(frozen=True)
class GenerationConfig:
    """How to turn logits into sequences.

    Processors change the scores of the next token in Hugging Face's order: sequence_bias,
    encoder_repetition_penalty, repetition_penalty, no_repeat_ngram_size, encoder_no_repeat_ngram_size, bad_words_ids,
    min_length, forced_bos_token_id, forced_eos_token_id, exponential_decay_length_penalty, suppress_tokens,
    begin_suppress_tokens. As there, beam search gives them log-probabilities and greedy search logits.

    Parameters
    ----------
    num_beams : int, default 1
        Sequences kept at every step; 1 is greedy search.
    num_return_sequences : int, default 1
        Hypotheses returned for each sentence, at most `num_beams`. There are fewer only if fewer exist.
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
    early_stopping : bool or "never", default False
        When the search of a sentence ends once `num_beams` hypotheses have finished. True: at once. False: when the
        best running beam, scored at its present length, does not beat the worst of them. ``"never"``: when it could
        not beat it at any length up to `max_length`.
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
    exponential_decay_length_penalty : tuple of int and float, optional
        ``(start, factor)``: from `start` generated tokens on the end token's score s grows by
        ``|s| * (factor ** (tokens since) - 1)``.
    suppress_tokens : list of int, optional
        Tokens that are never generated.
    begin_suppress_tokens : list of int, optional
        Tokens that are not generated first (after a forced first token: second).

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
    early_stopping: bool | Literal["never"] = False
    sequence_bias: Mapping[tuple[int, ...], float] | Sequence[Any] | None = None
    encoder_repetition_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: TokenLists | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | Sequence[int] | None = None
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: Sequence[int] | None = None
    begin_suppress_tokens: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                object.__setattr__(self, name, check(name, value))
        if self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences is {self.num_return_sequences}; expected at most num_beams = {self.num_beams}"
            )
        for length, new_tokens in _LIMITS:
            if getattr(self, length) is not None and getattr(self, new_tokens) is not None:
                raise ValueError(f"both {length} and {new_tokens} are given; expected one of them")
        longest = self._max_length(0)
        object.__setattr__(self, "length_penalty", check_length_penalty(self.length_penalty, longest))
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ValueError(f"early_stopping is {self.early_stopping!r}; expected True, False or 'never'")
        self._check_contradictions(longest)

    def _check_contradictions(self, longest: int) -> None:
        shortest = self.min_length or 0 if self.min_new_tokens is None else self.min_new_tokens + 1
        if shortest > longest:
            name, other = (("min_length", "max_length"), ("min_new_tokens", "max_new_tokens"))[
                shortest != self.min_length
            ]
            raise ValueError(
                f"{name} asks for {shortest} tokens with the start token; expected at most {longest}, {other}"
            )
        suppressed = set(self.suppress_tokens or ())
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            for token in _as_tokens(getattr(self, name)):
                if token in suppressed:
                    raise ValueError(f"{name} is {token}, which suppress_tokens forbids")

    def override(self, **options: Any) -> GenerationConfig:
        """Return a copy with other values; giving one name of a limit drops the other one.

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
        for pair in _LIMITS:
            for given, other in (pair, pair[::-1]):
                if options.get(given) is not None:
                    options.setdefault(other, None)
        return dataclasses.replace(self, **options)

    def resolve(
        self,
        *,
        start_id: int,
        eos_id: int | Iterable[int],
        prefix: Iterable[Any] | None = None,
        encoder_input_ids: Iterable[Any] | None = None,
    ) -> dict[str, Any]:
        """Return the options as the search classes take them, every one present.

        Parameters
        ----------
        start_id : int
            The token that every sequence starts with.
        eos_id : int or iterable of int
            The end token or tokens; none: sequences end at `max_length` only.
        prefix : list of lists of int, optional
            For each sentence the tokens after the start token that its target has to start with.
        encoder_input_ids : list of lists of int, optional
            The tokens of each source, for `encoder_repetition_penalty` and `encoder_no_repeat_ngram_size`.

        Returns
        -------
        dict
            The fields of this class, `start_id`, `eos_ids`, `prefix` and `encoder_input_ids`. ``max_length`` is the
            largest of any sentence, whichever way it was given.

        Raises
        ------
        TypeError, ValueError
            If an id is not an integer from 0 to 2**31 - 1, or an option needs `encoder_input_ids`.

        Examples
        --------
        >>> GenerationConfig(max_new_tokens=2).resolve(start_id=1, eos_id=[2, 3], prefix=[[7], [7, 8]])["max_length"]
        5
        """
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        prefixes = [check_tokens(f"prefix[{i}]", tokens) for i, tokens in enumerate(prefix or ())]
        needs_source = self.encoder_repetition_penalty != 1.0 or self.encoder_no_repeat_ngram_size > 0
        if needs_source and encoder_input_ids is None:
            raise ValueError(
                "encoder_input_ids is missing; encoder_repetition_penalty and encoder_no_repeat_ngram_size need it"
            )
        sources = encoder_input_ids if needs_source and encoder_input_ids is not None else ()
        return options | {
            "max_length": self._max_length(max(map(len, prefixes), default=0)),
            "min_length": self.min_length or 0,
            "min_new_tokens": self.min_new_tokens or 0,
            "sequence_bias": self.sequence_bias or (),
            "bad_words_ids": self.bad_words_ids or (),
            "forced_eos_token_id": _as_tokens(self.forced_eos_token_id),
            "suppress_tokens": self.suppress_tokens or (),
            "begin_suppress_tokens": self.begin_suppress_tokens or (),
            "start_id": check_token("start_id", start_id),
            "eos_ids": list(check_tokens("eos_id", eos_id)),
            "prefix": prefixes,
            "encoder_input_ids": [check_tokens(f"encoder_input_ids[{i}]", ids) for i, ids in enumerate(sources)],
        }

    def _max_length(self, prefix_length: int) -> int:
        if self.max_new_tokens is not None:
            return 1 + prefix_length + self.max_new_tokens
        return 256 if self.max_length is None else self.max_length


def _as_tokens(value: Any) -> tuple[int, ...]:
    return () if value is None else check_tokens("", value)


def _at_least(lowest: int) -> Callable[[str, Any], Any]:
    return lambda name, value: check_integer(name, value, lowest)


def _positive(name: str, value: Any) -> float:
    return check_number(name, value, "a finite number above 0", lambda x: 0.0 < x < math.inf)


_LIMITS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
# Fields that may be None: the option is not used.
_OPTIONAL = frozenset(f.name for f in dataclasses.fields(GenerationConfig) if f.default is None)
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "num_beams": _at_least(1),
    "num_return_sequences": _at_least(1),
    "max_length": _at_least(1),
    "max_new_tokens": _at_least(0),
    "min_length": _at_least(0),
    "min_new_tokens": _at_least(0),
    "sequence_bias": check_biases,
    "encoder_repetition_penalty": _positive,
    "repetition_penalty": _positive,
    "no_repeat_ngram_size": _at_least(0),
    "encoder_no_repeat_ngram_size": _at_least(0),
    "bad_words_ids": check_token_lists,
    "forced_bos_token_id": check_token,
    "forced_eos_token_id": check_tokens,
    "exponential_decay_length_penalty": check_decay,
    "suppress_tokens": check_tokens,
    "begin_suppress_tokens": check_tokens,
}
