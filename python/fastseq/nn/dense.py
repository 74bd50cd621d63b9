"""Linear and Embedding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseq import _checks, functional
from fastseq._checks import Floats, expect_int8_size, floats, integer
from fastseq.nn.module import Module, Seed, compute_type_argument, expect_torch, refuse, uniform

__all__ = ["Embedding", "Linear"]


class Linear(Module):
    """Dense layer y = x W^T + b, as torch.nn.Linear.

    Parameters
    ----------
    in_features, out_features : int
        I and O.
    bias : bool, default True
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        What the weight is packed as; see `functional.linear`. Parameters stay what they were.
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(I).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> layer = Linear(3, 2)
    >>> layer.load_state_dict({"weight": [[1, 0, 0], [0, 1, 0]], "bias": [0, 1]})
    >>> layer([5.0, 6.0, 7.0])
    array([5., 7.], dtype=float32)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        compute_type: str = "float32",
        seed: Seed = None,
    ) -> None:
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features, 0)
        self.out_features = integer("Linear", "out_features", out_features, 0)
        self.compute_type = _checks.compute_type("Linear", compute_type)
        expect_int8_size("Linear", compute_type, self.in_features)
        generator = np.random.default_rng(seed)
        bound = 1 / math.sqrt(max(1, self.in_features))
        self._set_parameter("weight", uniform(generator, bound, self.out_features, self.in_features))
        self._set_parameter("bias", uniform(generator, bound, self.out_features) if bias else None)

    def __call__(self, input: Any) -> Floats:
        """Apply the layer.

        Parameters
        ----------
        input : (*, I) array_like

        Returns
        -------
        (*, O) float32 array

        Raises
        ------
        TypeError, ValueError
            If `input` has the wrong type or shape.
        """
        x = floats("Linear", "input", input)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"Linear: input has shape {x.shape}; expected (*, I) = (*, {self.in_features})")
        layer = self._packed(lambda backend: backend.Linear(self.weight, self.bias, self.compute_type))
        rows = x.reshape(math.prod(x.shape[:-1]), self.in_features)
        result: Floats = layer.forward(rows)
        return result.reshape(*x.shape[:-1], self.out_features)

    @classmethod
    def from_torch(cls, module: Any, *, compute_type: str = "float32") -> Linear:
        """Take over the weights of a torch.nn.Linear."""
        expect_torch(Linear, module)
        layer = cls(module.in_features, module.out_features, bias=module.bias is not None, compute_type=compute_type)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        bias = ", bias=False" if self.bias is None else ""
        return f"{self.in_features}, {self.out_features}{bias}{compute_type_argument(self)}"


class Embedding(Module):
    """Table of vectors, as torch.nn.Embedding.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    padding_idx : int, optional
        Row that is initially zero.
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are normally distributed.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> layer = Embedding(2, 3)
    >>> layer.load_state_dict({"weight": [[1, 2, 3], [4, 5, 6]]})
    >>> layer([1, 0])
    array([[4., 5., 6.],
           [1., 2., 3.]], dtype=float32)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, seed: Seed = None
    ) -> None:
        super().__init__()
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings, 0)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim, 0)
        count = self.num_embeddings
        weight = np.random.default_rng(seed).standard_normal((count, self.embedding_dim), np.float32)
        self.padding_idx = None
        if padding_idx is not None:
            self.padding_idx = integer("Embedding", "padding_idx", padding_idx, -count, count - 1) % count
            weight[self.padding_idx] = 0
        self._set_parameter("weight", weight)

    def __call__(self, input: Any) -> Floats:
        """Look rows up.

        Parameters
        ----------
        input : (*) array_like of int
            Ids in [0, V).

        Returns
        -------
        (*, E) float32 array

        Raises
        ------
        TypeError, ValueError
            If something is no id; the message names its place.
        """
        return functional.embedding(input, self.weight)

    @classmethod
    def from_torch(cls, module: Any) -> Embedding:
        """Take over the weights of a torch.nn.Embedding."""
        expect_torch(Embedding, module)
        refuse("Embedding.from_torch", max_norm=(module.max_norm, None))
        layer = cls(module.num_embeddings, module.embedding_dim, module.padding_idx)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
