"""Scores of pairs of texts, with the habits of sentence-transformers: reranking of what a search found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq._checks import choice, integer
from fastseq.pipelines.base import batches, named
from fastseq.pipelines.progress import progress_bar
from fastseq.pipelines.text_classification import TextClassification, encode_within
from fastseq.text.settings import read_json

__all__ = ["CrossEncoder"]

Floats = NDArray[np.float32]

_ACTIVATIONS = ("identity", "sigmoid", "softmax")
# What folders may name: sentence-transformers writes the name of a class of torch.
_STORED = {"Identity": "identity", "Sigmoid": "sigmoid"}


class CrossEncoder:
    """A model that reads two texts together and scores how well they fit.

    Parameters
    ----------
    model : str, path or model
        A folder of a model for the classification of sequences, the name of one on the Hugging Face hub, or what
        `load_model` returned.
    backend, compute_type
        As for `load_model`.
    max_length : int, optional
        Most tokens of a pair; what the model reads by default. Of a longer pair the longer text is cut off first.
    activation_fn : {"identity", "sigmoid", "softmax"}, optional
        From logits to scores; by default as the folder says, else "sigmoid" for a model with one label and "identity"
        for one with several.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, its folder is damaged, its model is for another task, or the folder asks for what is
        not known here.

    See Also
    --------
    fastseq.SemanticIndex : Finds the documents that are worth reading again.

    Notes
    -----
    Scores are those of sentence-transformers. The activation stands as ``activation_fn`` in
    `config_sentence_transformers.json` or in `config.json` under ``sentence_transformers``; folders of old versions
    have ``sbert_ce_default_activation_function`` there.

    Examples
    --------
    A model that counts ships stands in for a trained one.

    >>> import tempfile
    >>> from fastseq.models import RecurrentClassifierConfig, save_model
    >>> from fastseq.text import WordTokenizer
    >>> config = RecurrentClassifierConfig(
    ...     vocab_size=2, embedding_size=1, cell="rnn_relu", hidden_size=1, num_layers=1, bidirectional=False,
    ...     pooling="last", labels=("relevance",))
    >>> shapes = config.tensor_shapes()
    >>> tensors = {name: np.full(shape, 0.0 if "bias" in name else 1.0) for name, shape in shapes.items()}
    >>> tensors["embedding.weight"] = np.array([[0.0], [1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder, config, tensors, WordTokenizer(["<unk>", "ship"], "<unk>"))
    ...     encoder = CrossEncoder(folder)
    >>> encoder.predict([("Which ship?", "The ship at seven."), ("Which ship?", "Nobody waves.")]).round(3)
    array([0.881, 0.731], dtype=float32)
    >>> encoder.rank("Which ship?", ["Nobody waves.", "The ship at seven."], top_k=1, activation_fn="identity")
    [{'corpus_id': 1, 'score': 2.0}]
    """

    def __init__(
        self,
        model: Any,
        *,
        backend: str | None = None,
        compute_type: str | None = None,
        max_length: int | None = None,
        activation_fn: str | None = None,
    ) -> None:
        self._pairs = TextClassification(model, backend=backend, compute_type=compute_type)
        if max_length is not None:
            self.tokenizer.max_length = integer("CrossEncoder", "max_length", max_length, 1, self._pairs.limit)
        settings = _settings(self.model.folder)
        if activation_fn is None:
            activation_fn = _stored_activation(*settings) or ("sigmoid" if self.num_labels == 1 else "identity")
        self.activation_fn = self._activation(activation_fn)

    @property
    def model(self) -> Any:
        """The classifier."""
        return self._pairs.model

    @property
    def tokenizer(self) -> Any:
        """The classifier's tokenizer."""
        return self._pairs.tokenizer

    @property
    def num_labels(self) -> int:
        """How many scores a pair gets."""
        return len(self.model.config.id2label)

    def predict(
        self,
        pairs: Sequence[Any],
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: str | None = None,
        *,
        name: str = "pair",
        numbers: Iterable[int] | None = None,
    ) -> Any:
        """Return the scores of pairs.

        Parameters
        ----------
        pairs : sequence of (str, str), or one such pair
        batch_size : int, default 32
            Most pairs that run together; it changes no bit of a result.
        show_progress_bar : bool, optional
            By default for long work, if standard error is a terminal.
        activation_fn : {"identity", "sigmoid", "softmax"}, optional
            In place of the attribute of this name.
        name : str
        numbers : iterable of int, optional
            What messages call pairs, and the number of each; from 0 by default.

        Returns
        -------
        (N,) float32 array, or (N, num_labels) of a model with several labels
            Without the first dimension for a single pair.

        Raises
        ------
        TypeError, ValueError
            If a pair is not two texts or an option is wrong.

        Warns
        -----
        UserWarning
            If a pair is longer than the model reads.
        """
        integer("CrossEncoder.predict", "batch_size", batch_size, 1)
        activation = self.activation_fn if activation_fn is None else self._activation(activation_fn)
        if isinstance(pairs, str) or not isinstance(pairs, Sequence):
            raise TypeError(f"CrossEncoder.predict: pairs is {type(pairs).__name__}; expected a sequence of (str, str)")
        single = len(pairs) > 0 and isinstance(pairs[0], str)
        units = []
        for where, pair in named([pairs] if single else pairs, name, numbers):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise TypeError(f"CrossEncoder.predict: {where} is {_kinds(pair)}; expected two str")
            units.append(encode_within(self._pairs, pair[0], pair[1], where))
        logits = np.empty((len(units), self.num_labels), np.float32)
        with progress_bar(len(units), "predict", show_progress_bar) as bar:
            for batch in batches([len(unit) for unit in units], batch_size):
                logits[batch] = self._pairs.logits([units[i] for i in batch])
                if bar is not None:
                    bar.update(len(batch))
        scores = logits if activation == "identity" else getattr(functional, activation)(logits)
        scores = scores[:, 0] if self.num_labels == 1 else scores
        return scores[0] if single else scores

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: str | None = None,
        *,
        name: str = "document",
        numbers: Iterable[int] | None = None,
    ) -> list[dict[str, Any]]:
        """Return documents in the order of their scores with a query.

        Parameters
        ----------
        query : str
        documents : sequence of str
        top_k : int, optional
            How many at most; all by default.
        return_documents : bool, default False
            Whether results have the text.
        batch_size, show_progress_bar, activation_fn, name, numbers
            As in `predict`, of documents.

        Returns
        -------
        list of dict
            Best first, those of equal scores in the order of the documents: ``corpus_id``, which counts the documents
            from 0, ``score`` and, if it is asked for, ``text``.

        Raises
        ------
        TypeError, ValueError
            As in `predict`, and if the model has several labels.
        """
        if self.num_labels != 1:
            raise ValueError(f"CrossEncoder.rank: the model has {self.num_labels} labels; expected one, the relevance")
        if not isinstance(query, str):
            raise TypeError(f"CrossEncoder.rank: query is {type(query).__name__}; expected a str")
        if isinstance(documents, str) or not isinstance(documents, Sequence):
            raise TypeError(f"CrossEncoder.rank: documents is {type(documents).__name__}; expected a sequence of str")
        if top_k is not None:
            integer("CrossEncoder.rank", "top_k", top_k, 1)
        pairs = [(query, document) for document in documents]
        scores = self.predict(pairs, batch_size, show_progress_bar, activation_fn, name=name, numbers=numbers)
        best = np.argsort(-scores, kind="stable")[:top_k].tolist()
        ranked: list[dict[str, Any]] = [{"corpus_id": i, "score": float(scores[i])} for i in best]
        if return_documents:
            for one in ranked:
                one["text"] = documents[one["corpus_id"]]
        return ranked

    def _activation(self, name: str) -> str:
        choice("CrossEncoder", "activation_fn", name, _ACTIVATIONS)
        if name == "softmax" and self.num_labels == 1:
            raise ValueError("CrossEncoder: activation_fn is 'softmax'; with one label every score would be 1")
        return name

    def __repr__(self) -> str:
        return f"CrossEncoder({str(self.model.folder)!r}, num_labels={self.num_labels})"


def _settings(folder: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What sentence-transformers wrote beside a model, and the model's own `config.json`."""
    if folder is None:
        return {}, {}
    general, config = (
        read_json(folder / name) if (folder / name).is_file() else {}
        for name in ("config_sentence_transformers.json", "config.json")
    )
    prompt = general.get("default_prompt_name")
    if prompt is not None:
        raise ValueError(f"{folder}: default_prompt_name is {prompt!r}; expected none, as prompts are not supported")
    return general, config


def _stored_activation(general: dict[str, Any], config: dict[str, Any]) -> str | None:
    """What a folder names, the newest place first, or None."""
    inner = config.get("sentence_transformers")
    places = {
        "config_sentence_transformers.json: activation_fn": general.get("activation_fn"),
        "config.json: sentence_transformers.activation_fn": isinstance(inner, dict) and inner.get("activation_fn"),
        "config.json: sbert_ce_default_activation_function": config.get("sbert_ce_default_activation_function"),
    }
    place, name = next(((place, name) for place, name in places.items() if name), ("", None))
    if name is None:
        return None
    module, _, kind = str(name).rpartition(".")
    if kind not in _STORED or module.partition(".")[0] != "torch":
        raise ValueError(
            f"{place} is {name!r}; expected {' or '.join(_STORED)} of torch, or the argument activation_fn"
        )
    return _STORED[kind]


def _kinds(pair: Any) -> str:
    if not isinstance(pair, (tuple, list)):
        return type(pair).__name__
    return f"({', '.join(type(text).__name__ for text in pair)})"
