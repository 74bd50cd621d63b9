"""The part of a text that answers a question."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq._checks import integer
from fastseq.pipelines.answers import Answer, best_spans, place_of
from fastseq.pipelines.base import Options, Pipeline, Prepared, warn
from fastseq.text import Encoding

__all__ = ["QuestionAnswering"]

_KNOWN: Options = {
    "top_k": 1,
    "doc_stride": None,
    "max_answer_len": 15,
    "max_seq_len": None,
    "max_question_len": 64,
    "handle_impossible_answer": False,
    "align_to_words": True,
}


class QuestionAnswering(Pipeline):
    """Finds answers in contexts.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.

    Notes
    -----
    Results are those of the pipeline "question-answering" of Hugging Face's version 4: a context that is longer than
    `max_seq_len` is read in overlapping windows, the probabilities of start and end are taken over the context's
    tokens of a window, and a span's score is their product.
    """

    task = "question-answering"
    model_tasks = ("question-answering",)

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any) -> Any:
        """Answer questions.

        Parameters
        ----------
        inputs : dict, list or iterator of dict
            ``{"question": ..., "context": ...}``.
        question, context : str or list of str
            The same as named arguments; one context may serve several questions.
        top_k : int, default 1
            How many answers.
        doc_stride : int, optional
            Tokens that two windows of a context have in common; 128 or half of `max_seq_len` by default.
        max_answer_len : int, default 15
            Most tokens of an answer.
        max_seq_len : int, optional
            Most tokens of a window, question included; 384 by default, or what the model reads.
        max_question_len : int, default 64
            Longer questions are cut off, with a warning.
        handle_impossible_answer : bool, default False
            Whether no answer, ``""``, is one.
        align_to_words : bool, default True
            Whether an answer begins and ends with words.

        Returns
        -------
        dict, or list of dict if `top_k` is above 1
            ``score``, ``start``, ``end`` (in characters of the context) and ``answer``. A list of questions gives a
            list of these.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong.

        Warns
        -----
        UserWarning
            If a context is read in windows or a question is cut off.
        """
        checked = self.check(options)
        if question is not None or context is not None:
            if inputs is not None:
                raise ValueError(f"{self.task}: expected inputs, or question and context, not both")
            inputs = _pairs(question, context)
        if inputs is None:
            raise ValueError(f"{self.task}: expected a question and a context")
        result = self.run(inputs, checked)
        return result[0] if isinstance(result, list) and isinstance(inputs, list) and len(inputs) == 1 else result

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, _KNOWN)
        for name in ("top_k", "max_answer_len", "max_question_len"):
            integer(self.task, name, merged[name], 1)
        size, stride = self._window(merged)
        integer(self.task, "max_seq_len", size, 1, self.limit)
        integer(self.task, "doc_stride", stride, 0, size)
        return merged

    def _window(self, options: Options) -> tuple[int, int]:
        """The size of a window, and how much of it the next one repeats; by default the one follows from the other."""
        size, stride = options["max_seq_len"], options["doc_stride"]
        if size is None:
            size = 384 if self.limit is None else min(384, self.limit)
        return size, min(size // 2, 128) if stride is None else stride

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return a question and its context in windows."""
        if not isinstance(item, dict) or not {"question", "context"} <= item.keys():
            raise TypeError(f"{self.task}: {where} is {type(item).__name__}; expected a dict with question and context")
        question, context = (self.text(item[name], f"the {name} of {where}") for name in ("question", "context"))
        for name, text in (("question", question), ("context", context)):
            if not text.strip():
                raise ValueError(f"{self.task}: the {name} of {where} is empty")
        question = self._cut(question, where, options["max_question_len"])
        size, stride = self._window(options)
        units = self.tokenizer.encode_windows(question, context, max_length=size, stride=stride)
        if units[0].offsets is None:
            raise ValueError(f"{self.task}: this kind of tokenizer does not tell where tokens are in the text")
        if len(units) > 1:
            warn(
                f"{self.task}: the context of {where} is longer than {size} tokens; it is read in {len(units)}"
                " overlapping windows"
            )
        return Prepared(units, context)

    def _cut(self, question: str, where: str, most: int) -> str:
        pieces = self.tokenizer.pieces(question, True)
        if len(pieces) <= most or pieces.offsets is None:
            return question
        warn(f"{self.task}: the question of {where} has {len(pieces)} tokens; only the first {most} are read")
        return question[: pieces.offsets[most - 1][1]]

    def compute(self, units: list[Encoding], options: Options) -> list[NDArray[np.float32]]:
        """Return the logits of start and end, (length, 2) of each window."""
        return self.logits(units)

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the answers of one question."""
        answers: list[Answer] = []
        no_answer = np.inf
        top_k = options["top_k"]
        for unit, logits in zip(prepared.units, outputs, strict=True):
            allowed = np.array([sequence == 1 for sequence in unit.sequences])
            allowed[0] |= unit.sequences[0] is None  # the first special token stands for "no answer"
            start, end = (functional.softmax(np.where(allowed, column, np.float32(-10000.0))) for column in logits.T)
            no_answer = min(no_answer, float(start[0] * end[0]))
            if unit.sequences[0] is None:
                start[0] = end[0] = 0
            # Spans that mean the same words are one answer: more of them are looked at than are asked for.
            count = top_k * 2 + 10 if options["align_to_words"] else top_k
            for first, last, score in best_spans(start, end, allowed, count, options["max_answer_len"]):
                begin, finish = place_of(unit, first, last, options["align_to_words"])
                text = prepared.details[begin:finish]
                known = next((answer for answer in answers if answer["answer"].lower() == text.lower()), None)
                if known is not None:
                    known["score"] += score
                else:
                    answers.append({"score": score, "start": begin, "end": finish, "answer": text})
        if options["handle_impossible_answer"]:
            answers.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
        answers = sorted(answers, key=lambda answer: -float(answer["score"]))[:top_k]
        return answers[0] if len(answers) == 1 else answers


def _pairs(question: Any, context: Any) -> Any:
    if isinstance(question, str) and isinstance(context, str):
        return {"question": question, "context": context}
    if question is None or context is None:
        raise ValueError("question-answering: expected a question and a context")
    questions = [question] if isinstance(question, str) else list(question)
    contexts = [context] * len(questions) if isinstance(context, str) else list(context)
    if len(questions) != len(contexts):
        raise ValueError(
            f"question-answering: {len(questions)} questions and {len(contexts)} contexts; expected as many"
        )
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]
