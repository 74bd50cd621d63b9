"""Text to text by an encoder-decoder model: translation, summaries, whatever T5 was told to do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from fastseq.pipelines.base import Options, Pipeline, Prepared, positions_of, warn
from fastseq.search import Generation, GenerationConfig
from fastseq.search.rules import LIMITS, lowered_minima
from fastseq.text import Encoding

__all__ = ["Summarization", "Text2Text", "Translation"]

GENERATION_FIELDS = {field.name: None for field in dataclasses.fields(GenerationConfig)}
_KNOWN: Options = {
    "prefix": None,
    "truncation": None,
    "return_text": True,
    "return_tensors": False,
    "return_scores": False,
    "clean_up_tokenization_spaces": None,
}


class Text2Text(Pipeline):
    """Generates a text from a text.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.

    Notes
    -----
    Results are those of the pipelines "text2text-generation", "translation" and "summarization" of Hugging Face's
    version 4. Defaults of the search come from the folder's `generation_config.json`, those of a task, such as T5's
    prefixes, from `task_specific_params` in its `config.json`.
    """

    task = "text2text-generation"
    model_tasks = ("text2text-generation",)
    result_name: ClassVar[str] = "generated"

    def __init__(self, model: Any, *arguments: Any, task: str | None = None, **options: Any) -> None:
        self.name = self.task if task is None else task
        super().__init__(model, *arguments, **options)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Generate.

        Parameters
        ----------
        inputs : str, list or iterator of str
        prefix : str, optional
            What is put in front of each text; the task's own by default.
        truncation : bool, optional
            True: cut off what is longer than the tokenizer's limit. By default only what is longer than the model has
            positions. Both with a warning.
        return_tensors : bool, default False
            Whether ids are returned, as ``..._token_ids``, and not text.
        return_scores : bool, default False
            Whether each result has its ``score``.
        clean_up_tokenization_spaces : bool, optional
            As the folder says by default.
        **options
            Fields of `GenerationConfig`: `num_beams`, `max_length`, `num_return_sequences` and so on.

        Returns
        -------
        list of dict
            ``generated_text`` (``translation_text``, ``summary_text``) of each text. With `num_return_sequences` above
            1 a list of texts gives a list of lists. An iterator gives an iterator of lists.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong.
        """
        results = self.run(inputs, self.check(options))
        if isinstance(results, list) and isinstance(inputs, (list, tuple)) and all(len(r) == 1 for r in results):
            return [result[0] for result in results]
        return results

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, self.known())
        search = {name: merged[name] for name in GENERATION_FIELDS if name in options or name in self._options}
        search = {name: value for name, value in search.items() if value is not None}
        GenerationConfig().override(**search)  # an option that is wrong is known before anything is computed
        merged["search"] = self._task_search(search)
        if merged["prefix"] is None:
            prefix = self._task_params().get("prefix")
            merged["prefix"] = prefix if isinstance(prefix, str) else ""
        return merged

    def known(self) -> Options:
        """Return the options there are, with their defaults."""
        return _KNOWN | GENERATION_FIELDS | {"search": None}

    def _task_params(self) -> Mapping[str, Any]:
        every = self.tokenizer.settings.model_config.get("task_specific_params")
        params = every.get(self.name) if isinstance(every, dict) else None
        return params if isinstance(params, dict) else {}

    def _task_search(self, search: Options) -> Options:
        """The search options of the task, under those that are given."""
        own = {name: value for name, value in self._task_params().items() if name in GENERATION_FIELDS}
        for pair in LIMITS:
            if search.keys() & set(pair):
                own = {name: value for name, value in own.items() if name not in pair}
        return own | lowered_minima(own, search) | search

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text ready for the model."""
        text = options["prefix"] + self.text(item, where)
        return Prepared([self.encode(text, where, options)])

    def encode(self, text: str, where: str, options: Options, src_lang: str | None = None) -> Encoding:
        """Return ids, cut off with a warning where the limit is."""
        limit = self.limit if options["truncation"] else positions_of(self.model)
        encoding = self.tokenizer.encode(text, max_length=limit, src_lang=src_lang)
        if encoding.truncated:
            warn(f"{self.task}: {where} is longer than {limit} tokens; the rest is left out")
        return encoding

    def compute(self, units: list[Encoding], options: Options) -> list[Generation]:
        """Generate for a batch."""
        generations: list[Generation] = self.model.generate([unit.ids for unit in units], **options["search"])
        return generations

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the texts of one input."""
        results = []
        for hypothesis in outputs[0].hypotheses:
            if options["return_tensors"] or not options["return_text"]:
                result: dict[str, Any] = {f"{self.result_name}_token_ids": list(hypothesis.tokens)}
            else:
                clean = options["clean_up_tokenization_spaces"]
                text = self.tokenizer.decode(hypothesis.tokens, clean_up_tokenization_spaces=clean)
                result = {f"{self.result_name}_text": text}
            results.append(result | ({"score": hypothesis.score} if options["return_scores"] else {}))
        return results


class Summarization(Text2Text):
    """Gives the summary of a text; see `Text2Text`."""

    task = "summarization"
    result_name = "summary"


class Translation(Text2Text):
    """Translates; see `Text2Text`.

    Multilingual models need the languages: `src_lang` and `tgt_lang`, as arguments here or of the call, or in the
    task's name, "translation_en_to_de". Models of one pair of languages need none.
    """

    task = "translation"
    result_name = "translation"

    def known(self) -> Options:
        """Return the options there are; the task's name may say the languages."""
        named = re.fullmatch(r"translation_(\w+?)_to_(\w+)", self.name)
        source, target = named.groups() if named else (None, None)
        return super().known() | {"src_lang": source, "tgt_lang": target, "forced_bos": None}

    def check(self, options: Options) -> Options:
        """Return the options of a call, with the token that the target language is written as."""
        merged = super().check(options)
        tokenizer, source, target = self.tokenizer, merged["src_lang"], merged["tgt_lang"]
        if not tokenizer.languages:
            return merged | {"src_lang": None, "tgt_lang": None}
        if tokenizer.needs_source_language:
            # The constructor's options are defaults only: the call may name the languages.
            in_a_call = "search" in self._options
            if in_a_call and target is None and "forced_bos_token_id" not in merged["search"]:
                raise ValueError(
                    f"{self.task}: a model of many languages needs tgt_lang; expected one of "
                    f"{', '.join(tokenizer.languages)}"
                )
            if source is not None:
                tokenizer.language_id(source)
            if target is not None:
                merged["search"] = {"forced_bos_token_id": tokenizer.language_id(target)} | merged["search"]
        else:
            merged["src_lang"] = None
            if target is not None:
                tokenizer.language_id(target)
        return merged

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text ready for the model, its languages marked."""
        text = options["prefix"] + self.text(item, where)
        text = self.tokenizer.target_text(text, options["tgt_lang"])
        return Prepared([self.encode(text, where, options, options["src_lang"])])
