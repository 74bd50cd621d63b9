"""`modules.json`: how sentence-transformers makes one vector of those of the tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq.pipelines.vector_stores import unit_rows
from fastseq.text.settings import read_json
from fastseq.weights import read_weights

__all__ = ["Modules", "Pooling", "Step", "read_modules"]

Floats = NDArray[np.float32]

_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class Step(Protocol):
    """What is done to the vectors of a sentence."""

    def __call__(self, vectors: Floats) -> Floats:
        """Return what becomes of them."""

    def width(self, size: int) -> int:
        """Return the length of a vector made of vectors of this length; ValueError if it cannot be made of them."""


@dataclass(frozen=True)
class Pooling:
    """Token vectors (T, H) to one (modes * H,); perhaps without those of the prompt, which come first."""

    modes: tuple[str, ...]
    include_prompt: bool = True

    def __call__(self, vectors: Floats, prompt_length: int = 0) -> Floats:
        """Return the modes one after the other; the first `prompt_length` vectors are the prompt's."""
        first = 0 if self.include_prompt else min(prompt_length, len(vectors) - 1)
        pooled: Floats = np.concatenate([_pool(mode, vectors, first) for mode in self.modes])
        return pooled

    def width(self, size: int) -> int:
        """Return the length of the result."""
        return size * len(self.modes)


def _pool(mode: str, vectors: Floats, first: int) -> Floats:
    """Pool what is not before the first; the others keep their places."""
    places, vectors = np.arange(1, len(vectors) + 1, dtype=np.float32)[first:, None], vectors[first:]
    length = np.float32(max(len(vectors), 1))
    result: Floats
    if mode in ("cls", "lasttoken"):
        result = vectors[0 if mode == "cls" else -1]
    elif mode == "max":
        result = vectors.max(axis=0)
    elif mode == "weightedmean":  # later tokens weigh more
        result = (vectors * places).sum(axis=0) / places.sum()
    else:
        result = vectors.sum(axis=0) / (length if mode == "mean" else np.sqrt(length))
    return result


@dataclass(frozen=True)
class Normalize:
    """A vector to one of length one."""

    def __call__(self, vectors: Floats) -> Floats:
        row: Floats = unit_rows(vectors[None])[0]
        return row

    def width(self, size: int) -> int:
        """Return the length of the result."""
        return size


@dataclass(frozen=True)
class Dense:
    """A vector through a dense layer and perhaps a tanh."""

    weight: Floats
    bias: Floats | None
    activation: str

    def __call__(self, vectors: Floats) -> Floats:
        result: Floats = functional.linear(vectors, self.weight, self.bias)
        return result if self.activation == "Identity" else functional.tanh(result)

    def width(self, size: int) -> int:
        """Return the length of the result."""
        outputs, inputs = self.weight.shape
        if size != inputs:
            raise ValueError(f"a Dense of {inputs} inputs gets vectors of {size}")
        return int(outputs)


@dataclass(frozen=True)
class Modules:
    """What a folder says.

    Attributes
    ----------
    transformer : path
        The folder of the encoder.
    steps : list of Step
    max_seq_length : int or None
    lower_case : bool
    prompts : dict of str to str
    default_prompt_name : str or None
    """

    transformer: Path
    steps: list[Step]
    max_seq_length: int | None = None
    lower_case: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None


def read_modules(folder: Path) -> Modules:
    """Read what sentence-transformers wrote into a folder; without `modules.json` tokens are averaged.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Modules

    Raises
    ------
    ValueError
        If a file is damaged or a module of a kind that is not known.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return Modules(folder, [Pooling(("mean",))])
    transformer, steps = folder, list[Step]()
    for number, module in enumerate(read_json(path, list)):
        kind = module.get("type") if isinstance(module, dict) else None
        place = module.get("path") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not isinstance(place, str) or ".." in Path(place).parts:
            raise ValueError(f"{path}: module {number} has no type or no path inside the folder")
        name, where = kind.rpartition(".")[2], folder / place
        if name == "Transformer" and number == 0:
            transformer = where
        elif name == "Pooling":
            steps.append(_pooling(where / "config.json"))
        elif name == "Normalize":
            steps.append(Normalize())
        elif name == "Dense":
            steps.append(_dense(where, pooled=any(isinstance(step, Pooling) for step in steps)))
        elif name != "Dropout":  # which does nothing after training
            raise ValueError(
                f"{path}: module {number} is a {kind}; Transformer (first), Pooling, Dense, Normalize are known"
            )
    if not any(isinstance(step, Pooling) for step in steps):
        raise ValueError(f"{path} has no Pooling")
    settings = _optional(transformer / "sentence_bert_config.json")
    general = _optional(folder / "config_sentence_transformers.json")
    length, prompts = settings.get("max_seq_length"), general.get("prompts")
    return Modules(
        transformer,
        steps,
        length if isinstance(length, int) and length > 0 else None,
        settings.get("do_lower_case") is True,
        {str(k): str(v) for k, v in prompts.items()} if isinstance(prompts, dict) else {},
        general.get("default_prompt_name") if isinstance(general.get("default_prompt_name"), str) else None,
    )


def _pooling(path: Path) -> Pooling:
    config = read_json(path)
    named = config.get("pooling_mode")
    modes = [mode for flag, mode in _FLAGS.items() if config.get(flag) is True]
    if named is not None:
        modes = [named] if isinstance(named, str) else list(named)
    if not modes or any(mode not in _MODES for mode in modes):
        raise ValueError(f"{path}: pooling is {', '.join(map(str, modes)) or 'none'}; known are {', '.join(_MODES)}")
    return Pooling(tuple(modes), config.get("include_prompt") is not False)


def _dense(folder: Path, pooled: bool) -> Dense:
    path = folder / "config.json"
    config = read_json(path)
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if activation not in ("Tanh", "Identity"):
        raise ValueError(f"{path}: activation_function is {activation}; known are Tanh and Identity")
    tensors: dict[str, Any] = dict(read_weights(folder))
    weight, bias = tensors.pop("linear.weight", None), tensors.pop("linear.bias", None)
    if tensors or weight is None or weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(f"{folder}: expected linear.weight (O, I), perhaps linear.bias (O,), and no other tensor")
    place = "sentence_embedding" if pooled else "token_embeddings"
    wanted = {"module_input_name": place, "module_output_name": place, "use_residual": False}
    wanted |= {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None}
    for name, value in wanted.items():
        if config.get(name) not in (None, value):
            raise ValueError(f"{path}: {name} is {str(config[name])[:60]}; expected {value}")
    return Dense(weight, bias, activation)


def _optional(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}
