"""Sentences to vectors, with the habits of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq._checks import integer
from fastseq.models.hub import model_folder
from fastseq.pipelines.base import batches, named
from fastseq.pipelines.feature_extraction import FeatureExtraction
from fastseq.pipelines.progress import progress_bar
from fastseq.pipelines.sentence_modules import Pooling, Step, read_modules
from fastseq.pipelines.text_classification import encode_within
from fastseq.pipelines.vector_stores import unit_rows

__all__ = ["SentenceEncoder"]

Floats = NDArray[np.float32]


class SentenceEncoder:
    """A model that makes one vector of a sentence.

    Parameters
    ----------
    path : str, path or model
        A folder as sentence-transformers publishes it, the name of such a model on the Hugging Face hub, or a model.
        `modules.json` says how token vectors become one; without it they are averaged.
    backend, compute_type
        As for `load_model`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, its folder is damaged, or a module is of a kind that is not known.

    See Also
    --------
    fastseq.SemanticIndex : Finds the nearest of many vectors.
    """

    def __init__(self, path: Any, *, backend: str | None = None, compute_type: str | None = None) -> None:
        named = isinstance(path, (str, Path)) or hasattr(path, "__fspath__")
        folder = model_folder(path) if named else Path(path.folder)
        modules = read_modules(folder)
        self._features = FeatureExtraction(
            modules.transformer if named else path, backend=backend, compute_type=compute_type
        )
        self._steps: list[Step] = modules.steps
        self._lower = modules.lower_case
        self.prompts = modules.prompts
        self.default_prompt_name = modules.default_prompt_name
        self.max_seq_length = modules.max_seq_length
        if self.max_seq_length is not None:
            self._features.tokenizer.max_length = self.max_seq_length
        self._dimension = int(self.model.config.hidden_size)
        for step in self._steps:
            try:
                self._dimension = step.width(self._dimension)
            except ValueError as error:
                raise ValueError(f"{folder / 'modules.json'}: {error}") from None

    @property
    def model(self) -> Any:
        """The encoder."""
        return self._features.model

    @property
    def tokenizer(self) -> Any:
        """The encoder's tokenizer."""
        return self._features.tokenizer

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def encode(
        self,
        sentences: str | Sequence[str],
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        name: str = "sentence",
        numbers: Iterable[int] | None = None,
    ) -> Floats:
        """Return the vectors of sentences.

        Parameters
        ----------
        sentences : str or sequence of str
        batch_size : int, default 32
            Most sentences that run together; it changes no bit of a result.
        show_progress_bar : bool, optional
            By default for long work, if standard error is a terminal.
        normalize_embeddings : bool, default False
            Whether vectors are made of length one; the folder's own modules may do so in any case.
        prompt_name : str, optional
            The prompt of the folder that is put in front of each sentence.
        prompt : str, optional
            One that is given.
        name : str
        numbers : iterable of int, optional
            What messages call sentences, and the number of each; from 0 by default.

        Returns
        -------
        (N, dimension) float32 array, or (dimension,) for a single sentence

        Raises
        ------
        TypeError, ValueError
            If a sentence is no text or an option is wrong.

        Warns
        -----
        UserWarning
            If a sentence is longer than the model reads.
        """
        integer("SentenceEncoder.encode", "batch_size", batch_size, 1)
        prefix = self._prompt(prompt_name, prompt)
        prompt_length = self._prompt_length(prefix)
        if not isinstance(sentences, str) and not isinstance(sentences, Sequence):
            raise TypeError(f"encode: sentences is {type(sentences).__name__}; expected a str or a sequence of str")
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        units = []
        for where, text in named(texts, name, numbers):
            whole = self._lowered(prefix + self._features.text(text, where))
            units.append(encode_within(self._features, whole, None, where))
        result = np.empty((len(texts), self.dimension), np.float32)
        with progress_bar(len(texts), "encode", show_progress_bar) as bar:
            for batch in batches([len(unit) for unit in units], batch_size):
                for i, vectors in zip(batch, self._features.compute([units[i] for i in batch], {}), strict=True):
                    result[i] = self._pooled(vectors, prompt_length)
                if bar is not None:
                    bar.update(len(batch))
        if normalize_embeddings:
            result = unit_rows(result)
        return result[0] if isinstance(sentences, str) else result

    def _pooled(self, vectors: Floats, prompt_length: int) -> Floats:
        for step in self._steps:
            vectors = step(vectors, prompt_length) if isinstance(step, Pooling) else step(vectors)
        return vectors

    def _lowered(self, text: str) -> str:
        return text.lower() if self._lower else text

    def _prompt(self, name: str | None, prompt: str | None) -> str:
        if prompt is not None:
            return prompt
        name = self.default_prompt_name if name is None else name
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(self.prompts) or "none"
            raise ValueError(f"encode: prompt_name is {name!r}; the model has {known}")
        return self.prompts[name]

    def _prompt_length(self, prompt: str) -> int:
        """How many tokens of a sentence are its prompt's, special ones in front of it included."""
        if not prompt:
            return 0
        special = self.tokenizer.encode(self._lowered(prompt)).special
        return len(special) - (bool(special) and special[-1])

    def __repr__(self) -> str:
        return f"SentenceEncoder({str(self.model.folder)!r}, dimension={self.dimension})"
