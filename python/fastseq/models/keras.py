"""Models of Keras that read token ids: classifiers, taggers, encoders of text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fastseq import _backend, functional
from fastseq.models.base import PlacedModel
from fastseq.models.ragged import Floats, ragged
from fastseq.nn.keras import KerasModel
from fastseq.nn.keras.shape import input_shapes, last_layer, probe, take_activation, vocabulary_size
from fastseq.nn.keras.source import LayerSource, from_file
from fastseq.reference.models.ragged import groups, positions
from fastseq.weights.keras_file import read_keras

__all__ = ["KerasConfig", "KerasTextModel", "read_keras_model"]

_GROUP_ROWS = 256  # sequences of one length that run together
_PROBLEMS = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}


@dataclass(frozen=True, kw_only=True)
class KerasConfig:
    """What a model of Keras reads and puts out.

    Parameters
    ----------
    name : str
        Its name in Keras.
    task : str
        "text-classification": one output (B, labels) of a dense layer; "token-classification": one output
        (B, T, labels); "feature-extraction": another single output; "other": several inputs or outputs, or input that
        is no token ids.
    vocab_size : int, optional
        Ids are below it.
    id2label : dict of int to str
        Names of the outputs of a classifier, which Keras does not keep: LABEL_0, LABEL_1, ...
    problem_type : str, optional
        "single_label_classification" if it ends in a softmax, "multi_label_classification" in a sigmoid.
    """

    model_type: ClassVar[str] = "keras"

    name: str
    task: str
    vocab_size: int | None
    id2label: dict[int, str]
    problem_type: str | None = None


class KerasTextModel(PlacedModel):
    """A model of Keras with its weights; `load_model` makes one from a file.

    Texts of different lengths are computed each at its own length: nothing is padded, and what a model gives for a
    text does not depend on the others. A model that was trained to see padding gets it by a call with a padded array,
    as Keras itself.

    Parameters
    ----------
    source : LayerSource
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers; see `fastseq.functional.linear`.

    Raises
    ------
    ValueError
        If a layer, an activation or an option is not supported, or layers do not fit; the message names all.

    Examples
    --------
    >>> words = LayerSource("Embedding", "words", {}, [np.eye(4, dtype=np.float32)])
    >>> layers = [words, LayerSource("GlobalMaxPooling1D", "pool", {}, [])]
    >>> model = KerasTextModel(LayerSource("Sequential", "bag", {}, [], layers))
    >>> model.task, model.predict([[1, 3], [2]])[0]
    ('feature-extraction', array([0., 1., 0., 1.], dtype=float32))
    """

    def __init__(
        self, source: LayerSource, backend: str | None = None, folder: Path | None = None, compute_type: str = "float32"
    ) -> None:
        super().__init__(None, backend, folder, compute_type)
        last = last_layer(source)
        activation = take_activation(last)
        self._activation = None if activation is None else getattr(functional, activation)
        self._module = KerasModel(source, compute_type)
        shapes = input_shapes(source)
        with _backend.use_backend(self._backend):
            output = self._module(probe(shapes))
        vocab_size = vocabulary_size(source) if len(shapes) == 1 and len(shapes[0]) == 2 else None
        task = "other"
        if vocab_size is not None and isinstance(output, np.ndarray) and output.ndim in (2, 3):
            task = "feature-extraction"
            if last is not None and last.kind in ("Dense", "Activation"):
                task = "text-classification" if output.ndim == 2 else "token-classification"
        labels = range(output.shape[-1]) if task.endswith("classification") else ()
        self._config: KerasConfig = KerasConfig(
            name=source.name,
            task=task,
            vocab_size=vocab_size,
            id2label={i: f"LABEL_{i}" for i in labels},
            problem_type=_PROBLEMS.get(activation or ""),
        )

    @property
    def config(self) -> KerasConfig:
        """What it reads and puts out."""
        return self._config

    @property
    def task(self) -> str:
        """What it is for; see `KerasConfig`."""
        return self._config.task

    def __call__(self, inputs: Any, mask: Any = None, lengths: Any = None) -> Any:
        """Run the model on padded arrays, as Keras does with ``training=False``.

        Parameters
        ----------
        inputs : array_like, or list or dict of them
        mask, lengths
            As `fastseq.nn.KerasModel` takes them.

        Returns
        -------
        float32 array, or a list or dict of them

        Raises
        ------
        TypeError, ValueError
            If an input has the wrong type or shape.
        """
        with _backend.use_backend(self._backend):
            return self._end(self._module(inputs, mask, lengths))

    def stream(self, inputs: Any, state: Any = None, mask: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Run the model on the next part of its sequences; layers with ``stateful=True`` go on from a state.

        Parameters
        ----------
        inputs, state, mask, lengths
            As `fastseq.nn.KerasModel.stream` takes them.

        Returns
        -------
        outputs, state
            As it returns them.

        Raises
        ------
        TypeError, ValueError
            As it raises them.
        """
        with _backend.use_backend(self._backend):
            output, state = self._module.stream(inputs, state, mask, lengths)
            return self._end(output), state

    def _end(self, output: Any) -> Any:
        return output if self._activation is None else self._activation(output)

    def predict(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return what the model puts out for each text: probabilities of a classifier that ends in softmax or sigmoid.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
        lengths : sequence of int, optional
            Of the rows of a 2-D array.

        Returns
        -------
        list of float32 arrays
            (size,), or (T, size) of a model that puts out something for each token.

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong, or the model reads something else than one array of ids.
        """
        outputs = self._run("predict", input_ids, lengths)
        with _backend.use_backend(self._backend):
            return [self._end(output) for output in outputs]

    def logits(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the same as `predict` before the last softmax or sigmoid.

        Parameters
        ----------
        input_ids, lengths
            As in `predict`.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        TypeError, ValueError
            As in `predict`, or if the model is no classifier.
        """
        if not self.task.endswith("classification"):
            raise ValueError(f"logits: the model's task is {self.task}; expected a classifier")
        return self._run("logits", input_ids, lengths)

    def encode(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return what an encoder puts out for each text.

        Parameters
        ----------
        input_ids, lengths
            As in `predict`.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        TypeError, ValueError
            As in `predict`, or if the model is no encoder.
        """
        if self.task != "feature-extraction":
            raise ValueError(f"encode: the model's task is {self.task}; expected feature-extraction")
        return self._run("encode", input_ids, lengths)

    def _run(self, where: str, input_ids: Any, lengths: Any) -> list[Floats]:
        vocab_size = self._config.vocab_size
        if self.task == "other" or vocab_size is None:
            raise ValueError(
                f"{where}: the model does not read one array of ids and put out one array; call it instead"
            )
        ids, offsets = ragged(input_ids, lengths, vocab_size, "input_ids")
        results: dict[int, Floats] = {}
        with _backend.use_backend(self._backend):
            for texts in groups(offsets, _GROUP_ROWS):
                results |= zip(texts.tolist(), self._module(ids[positions(offsets, texts)]), strict=True)
        return [results[b] for b in range(len(offsets) - 1)]


def read_keras_model(
    path: str | os.PathLike[str], compute_type: str = "float32", backend: str | None = None
) -> KerasTextModel:
    """Read a `.keras` file, or a `.weights.h5` file with the model's JSON beside it.

    Parameters
    ----------
    path : str or path
        Beside ``NAME.weights.h5`` lies ``NAME.json`` or ``config.json``: what ``model.to_json()`` returned.
    compute_type : {"float32", "bfloat16", "int8"}
    backend : {"native", "numpy"}, optional

    Returns
    -------
    KerasTextModel

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ImportError
        If h5py is missing.
    ValueError
        If a file is damaged, or a layer, an activation or an option is not supported; the message names the file and
        all of them.

    Examples
    --------
    >>> read_keras_model("no-such-file.keras")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.keras'
    """
    file = Path(path)
    config = None
    if file.suffix == ".h5":
        choices = [file.with_name(file.name.removesuffix(".h5").removesuffix(".weights") + ".json")]
        choices.append(file.with_name("config.json"))
        found = [choice for choice in choices if choice.is_file()]
        if not found:
            names = " and no ".join(choice.name for choice in choices)
            raise FileNotFoundError(f"{file}: no {names} beside it; expected what model.to_json() returns")
        config = found[0].read_text(encoding="utf-8", errors="replace")
    try:
        stored = read_keras(file, config)
        return KerasTextModel(from_file(stored.config, stored.weights), backend, file.parent, compute_type)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(file)) else f"{file}: {text}") from None
