"""Text continued by a decoder alone."""

from __future__ import annotations

from typing import Any

from fastseq.pipelines.base import Options, Pipeline, Prepared, positions_of, warn
from fastseq.pipelines.text2text import GENERATION_FIELDS
from fastseq.search import Generation, GenerationConfig
from fastseq.text import Encoding

__all__ = ["TextGeneration"]

_KNOWN: Options = {
    "prefix": "",
    "return_full_text": True,
    "return_text": True,
    "return_tensors": False,
    "return_scores": False,
    "clean_up_tokenization_spaces": None,
}


class TextGeneration(Pipeline):
    """Continues text.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.

    Notes
    -----
    Results are those of the pipeline "text-generation" of Hugging Face. Of a prompt that leaves no room for new tokens
    the beginning is left out, with a warning.
    """

    task = "text-generation"
    model_tasks = ("text-generation",)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Continue prompts.

        Parameters
        ----------
        inputs : str, list or iterator of str
        prefix : str, default ""
            What is put in front of each prompt.
        return_full_text : bool, default True
            Whether the prompt is part of the text.
        return_tensors : bool, default False
            Whether ids are returned, as ``generated_token_ids``: prompt and continuation.
        return_scores : bool, default False
            Whether each result has its ``score``.
        clean_up_tokenization_spaces : bool, optional
            As the folder says by default.
        **options
            Fields of `GenerationConfig`; `max_length` counts the prompt, `max_new_tokens` does not.

        Returns
        -------
        list of dict
            ``generated_text``; a list of prompts gives a list of lists.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong.
        """
        return self.run(inputs, self.check(options))

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, _KNOWN | GENERATION_FIELDS | {"search": None})
        search = {name: merged[name] for name in GENERATION_FIELDS if merged[name] is not None}
        GenerationConfig().override(**search)
        merged["search"] = search
        return merged

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one prompt ready for the model."""
        prompt = self.text(item, where)
        encoding = self.tokenizer.encode(options["prefix"] + prompt)
        positions = positions_of(self.model)
        if positions is not None and len(encoding) >= positions:
            room = positions - min(options["search"].get("max_new_tokens", 1), positions - 1)
            warn(
                f"{self.task}: {where} has {len(encoding)} tokens and the model {positions} positions; only the last"
                f" {room} are read"
            )
            cut = slice(len(encoding) - room, None)
            encoding = Encoding(encoding.ids[cut], encoding.type_ids[cut], encoding.sequences[cut], truncated=True)
        return Prepared([encoding], prompt)

    def compute(self, units: list[Encoding], options: Options) -> list[Generation]:
        """Generate for a batch."""
        generations: list[Generation] = self.model.generate([unit.ids for unit in units], **options["search"])
        return generations

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the continuations of one prompt."""
        [unit] = prepared.units
        clean = options["clean_up_tokenization_spaces"]
        before = self.tokenizer.decode(unit.ids, clean_up_tokenization_spaces=clean)
        results = []
        for hypothesis in outputs[0].hypotheses:
            ids = [*unit.ids, *hypothesis.tokens]
            if options["return_tensors"] or not options["return_text"]:
                result: dict[str, Any] = {"generated_token_ids": ids}
            else:
                # Decoded together: the text of a token can depend on the one before it.
                new = self.tokenizer.decode(ids, clean_up_tokenization_spaces=clean)[len(before) :]
                result = {"generated_text": prepared.details + new if options["return_full_text"] else new}
            results.append(result | ({"score": hypothesis.score} if options["return_scores"] else {}))
        return results
