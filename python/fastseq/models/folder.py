"""Model folders: ours, and those of Hugging Face's families."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastseq import _backend, _checks
from fastseq.models.base import VOCABULARY_FILE
from fastseq.models.bound import BoundTensors
from fastseq.models.classifier import RecurrentClassifier, RecurrentClassifierConfig
from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.config import CONFIG_FILE, FORMAT, FORMAT_VERSION, ModelConfig, Seq2SeqConfig
from fastseq.models.decoder import DecoderModel
from fastseq.models.deep_recurrent import DeepRecurrentSeq2SeqConfig
from fastseq.models.described import read_defaults, read_described
from fastseq.models.encoder import EncoderModel
from fastseq.models.foreign import FOREIGN
from fastseq.models.hub import model_folder
from fastseq.models.joint_ngram import JointNgram, JointNgramConfig, check_joint_tensors
from fastseq.models.kinds import DecoderConfig, EncoderConfig, EncoderDecoderConfig
from fastseq.models.language_model import RecurrentLanguageModel, RecurrentLanguageModelConfig
from fastseq.models.packed import PACKED_FILE, PackedTensors, open_packed
from fastseq.models.published import FAMILIES, load_published
from fastseq.models.quantized import quantize_tensors, read_quantized
from fastseq.models.recurrent import RecurrentSeq2SeqConfig
from fastseq.models.recurrent_stack import RecurrentStackConfig
from fastseq.models.seq2seq import Seq2SeqModel
from fastseq.models.seq2seq_classifier import Seq2SeqClassifier
from fastseq.models.tensors import check_tensors
from fastseq.models.transformer import TransformerSeq2SeqConfig
from fastseq.text import Vocabulary, WordTokenizer
from fastseq.weights import WEIGHT_FILES, StoredTensor, find_weights, open_weights, write_safetensors
from fastseq.weights.stored import read_all

__all__ = ["load_model", "save_model"]

TENSOR_FILE = "model.safetensors"
KERAS_SUFFIXES, KERAS_WEIGHTS = (".keras", ".h5"), "model.weights.h5"
_MODELS: dict[type[ModelConfig], Any] = {
    RecurrentSeq2SeqConfig: Seq2SeqModel,
    DeepRecurrentSeq2SeqConfig: Seq2SeqModel,
    TransformerSeq2SeqConfig: Seq2SeqModel,
    RecurrentClassifierConfig: RecurrentClassifier,
    RecurrentLanguageModelConfig: RecurrentLanguageModel,
    JointNgramConfig: JointNgram,
}
_TWO_SIDED = (Seq2SeqConfig, JointNgramConfig)  # whose vocabulary has source and target tokens
_CONFIGS = {config.model_type: config for config in _MODELS}
_KINDS: dict[str, type[Any]] = {
    **_CONFIGS,
    **{config.kind: config for config in (EncoderDecoderConfig, EncoderConfig, DecoderConfig, Seq2SeqClassifierConfig)},
}


def load_model(path: str | os.PathLike[str], compute_type: str | None = None, backend: str | None = None) -> Any:
    """Read a model folder, ours or one that Hugging Face's transformers has saved, or one file of another toolkit.

    Nothing in the folder is run: it may come from anywhere.

    Parameters
    ----------
    path : str or path
        A folder with `config.json` and weights in a form that `fastseq.weights.read_weights` reads. Of a published
        model also `generation_config.json`, if it is there; of ours `vocab.json`, for models that read text. Or a
        file: a `.pt` checkpoint of OpenNMT-py or fairseq, an `.npz` of Marian, a `.keras` file, or a `.weights.h5` file
        with the model's JSON beside it, also in a folder as `model.weights.h5` and `config.json`; these need the extra
        `keras`. Or a name on the Hugging Face hub, "owner/name", with the extra `text`.
    compute_type : {"float32", "bfloat16", "int8"}, optional
        What the weights of dense and recurrent layers are computed in; all else is float32. By default what
        `save_pretrained` has stored, and "float32" for all other folders. Weights stored as float16
        or bfloat16 are widened, which is exact; float64 is rounded; int8 weights with scales are taken as they are.
    backend : {"native", "numpy"}, optional
        The active one by default.

    Returns
    -------
    model
        A Seq2SeqModel, Seq2SeqClassifier, EncoderModel, DecoderModel, RecurrentClassifier, RecurrentLanguageModel,
        JointNgram or KerasTextModel, as the configuration says; the last for files of Keras.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is missing.
    ImportError
        If it is a hub name and the package `huggingface_hub` is not installed, or a file of Keras without h5py.
    ValueError
        If the family is not known, a file is damaged or the files do not agree; the message names the file and
        everything wrong in it.

    Examples
    --------
    >>> load_model("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: no model folder 'no-such-folder', and no name of a hub model, which is OWNER/NAME
    """
    if compute_type is not None:
        _checks.compute_type("load_model", compute_type)
    backend = _backend.of_model(backend)
    folder = Path(path)
    if (folder / PACKED_FILE).is_file():
        return _load_packed(folder, compute_type, backend)
    compute_type = compute_type or "float32"
    if folder.is_file() and folder.suffix in FOREIGN:
        return _make(folder, *FOREIGN[folder.suffix](folder), backend, compute_type)
    if folder.is_file() and folder.suffix in KERAS_SUFFIXES:
        return _read_keras(folder, compute_type, backend)
    if folder.is_file():
        known = ", ".join([*FOREIGN, *KERAS_SUFFIXES])
        raise FileNotFoundError(f"no model folder {str(folder)!r}, which is a file; those that are read are {known}")
    folder = model_folder(path)
    if (folder / PACKED_FILE).is_file():
        return _load_packed(folder, compute_type, backend)
    if (folder / KERAS_WEIGHTS).is_file():
        return _read_keras(folder / KERAS_WEIGHTS, compute_type, backend)
    weights = find_weights(folder)
    missing = [] if (folder / CONFIG_FILE).is_file() else [CONFIG_FILE]
    if weights is None:
        missing += WEIGHT_FILES
    if weights is None or missing:
        raise FileNotFoundError(f"model folder {str(folder)!r} has no {' and no '.join(missing)}")
    values = _read_object(folder / CONFIG_FILE)
    model_type = values.get("model_type")
    if "format" not in values or (isinstance(model_type, str) and model_type in FAMILIES):
        return load_published(folder, weights, values, _read_object, backend, compute_type)
    config = _parse_config(folder / CONFIG_FILE, values)
    vocabulary = _read_vocabulary(folder / VOCABULARY_FILE, config)
    stored = open_weights(folder)
    try:
        tensors = _read_tensors(weights, config, stored)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from None
    return _make(weights, config, tensors, vocabulary, backend, compute_type, folder)


def _read_tensors(path: Path, config: ModelConfig, stored: Mapping[str, StoredTensor]) -> Mapping[str, Any]:
    if isinstance(config, JointNgramConfig):
        return read_all(stored)
    if any(tensor.numbers == "I8" for tensor in stored.values()):
        return read_quantized(path, stored)
    return BoundTensors(config, stored)


def _read_keras(path: Path, compute_type: str, backend: str | None) -> Any:
    from fastseq.models.keras import read_keras_model  # with all layers, which no other model needs

    return read_keras_model(path, compute_type, backend)


def _load_packed(folder: Path, compute_type: str | None, backend: str) -> Any:
    path = folder / PACKED_FILE
    description, parts = open_packed(path)
    kind = description.get("kind")
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"{path}: kind is {str(kind)[:60]!r}; expected one of {', '.join(_KINDS)}")
    compute_type = compute_type or str(description["compute_type"])
    try:
        config: Any = read_described(cls, description.get("config"))
        tensors = PackedTensors(config, description, parts, compute_type, backend == "native")
        if isinstance(config, EncoderConfig):
            return EncoderModel(config, tensors, backend, folder, compute_type)
        if isinstance(config, Seq2SeqClassifierConfig):
            return Seq2SeqClassifier(config, tensors, backend, folder, compute_type)
        defaults = read_defaults(description["generation"]) if "generation" in description else None
        if isinstance(config, DecoderConfig):
            return DecoderModel(config, tensors, backend, folder, defaults, compute_type)
        vocabulary: Any = (
            _read_vocabulary(folder / VOCABULARY_FILE, config) if isinstance(config, ModelConfig) else None
        )
        if isinstance(config, (Seq2SeqConfig, EncoderDecoderConfig)):
            return Seq2SeqModel(config, tensors, vocabulary, backend, folder, defaults, compute_type)
        return _MODELS[cls](config, tensors, vocabulary, backend, folder=folder, compute_type=compute_type)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _make(
    path: Path,
    config: ModelConfig,
    tensors: Mapping[str, Any],
    vocabulary: Any,
    backend: str | None,
    compute_type: str,
    folder: Path | None = None,
) -> Any:
    try:
        return _MODELS[type(config)](config, tensors, vocabulary, backend, folder=folder, compute_type=compute_type)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def save_model(
    path: str | os.PathLike[str],
    config: ModelConfig,
    tensors: Mapping[str, Any],
    vocabulary: Vocabulary | WordTokenizer | None = None,
    dtype: str = "float32",
) -> None:
    """Write a model folder that `load_model` reads.

    Parameters
    ----------
    path : str or path
        The folder; it is made if it is not there.
    config : ModelConfig
    tensors : mapping of str to float array
        Named and shaped as ``config.tensor_shapes()`` says.
    vocabulary : Vocabulary or WordTokenizer, optional
        The first for encoder-decoders, the second for the others.
    dtype : {"float32", "float16", "int8"}
        What the weights are stored as. "int8" quantises those of dense and recurrent layers, as ``compute_type="int8"``
        does, so that a model loaded with it computes the same bits from a quarter of the bytes.

    Raises
    ------
    ValueError
        If tensors are missing, not expected or of another shape, the vocabulary has another size, or the dtype is
        another.
    """
    if dtype not in ("float32", "float16", "int8"):
        raise ValueError(f"dtype is {dtype!r}; expected 'float32', 'float16' or 'int8'")
    joint = isinstance(config, JointNgramConfig)
    if joint and dtype != "float32":
        raise ValueError(f"dtype is {dtype!r}; expected 'float32' for a joint n-gram, whose numbers stay as they are")
    arrays = check_joint_tensors(tensors) if joint else check_tensors(config, tensors)
    if vocabulary is not None:
        _check_sizes(vocabulary, config)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
    if dtype == "int8":
        arrays = quantize_tensors(arrays)
    elif not joint:
        arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    write_safetensors(folder / TENSOR_FILE, arrays)
    if vocabulary is not None:
        vocabulary.save(folder / VOCABULARY_FILE)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}; expected an object")
    return values


def _parse_config(path: Path, values: dict[str, Any]) -> ModelConfig:
    if values.get("format") != FORMAT:
        raise ValueError(f"{path}: format is {str(values.get('format'))[:60]!r}; expected {FORMAT!r}")
    if values.get("format_version") != FORMAT_VERSION:
        version = str(values.get("format_version"))[:60]
        raise ValueError(f"{path}: format_version is {version}; this fastseq reads {FORMAT_VERSION}")
    model_type = values.get("model_type")
    config = _CONFIGS.get(model_type) if isinstance(model_type, str) else None
    if config is None:
        raise ValueError(f"{path}: model_type is {str(model_type)[:60]!r}; expected one of {', '.join(_CONFIGS)}")
    try:
        return config.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_vocabulary(path: Path, config: ModelConfig) -> Vocabulary | WordTokenizer | None:
    if not path.is_file():
        return None
    vocabulary = Vocabulary.read(path) if isinstance(config, _TWO_SIDED) else WordTokenizer.read(path)
    try:
        _check_sizes(vocabulary, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return vocabulary


def _check_sizes(vocabulary: Vocabulary | WordTokenizer, config: ModelConfig) -> None:
    if isinstance(config, _TWO_SIDED) and isinstance(vocabulary, Vocabulary):
        sides = [
            ("source ", vocabulary.source, "source_vocab_size", config.source_vocab_size),
            ("target ", vocabulary.target, "target_vocab_size", config.target_vocab_size),
        ]
    elif isinstance(config, RecurrentStackConfig) and isinstance(vocabulary, WordTokenizer):
        sides = [("", vocabulary.tokens, "vocab_size", config.vocab_size)]
    else:
        raise ValueError(f"vocabulary is a {type(vocabulary).__name__}, which {type(config).__name__} does not take")
    for side, tokens, field, size in sides:
        if len(tokens) != size:
            raise ValueError(f"{len(tokens)} {side}tokens; expected {field} = {size}")
