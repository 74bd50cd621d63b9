"""LayerNorm and RMSNorm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseq import functional
from fastseq._checks import Floats, integer, number
from fastseq.nn.module import Module, expect_torch

__all__ = ["LayerNorm", "RMSNorm"]


def _shape(where: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    return tuple(integer(where, "normalized_shape", size, 1) for size in sizes)


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, as torch.nn.LayerNorm.

    Parameters
    ----------
    normalized_shape : int or sequence of int
    eps : float, default 1e-5
    elementwise_affine : bool, default True
        Whether there are `weight` (initially 1) and `bias` (initially 0).
    bias : bool, default True
        Whether there is `bias`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> LayerNorm(2, eps=0.0)([1.0, 3.0])
    array([-1.,  1.], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps = number("LayerNorm", "eps", eps, 0.0)
        self.elementwise_affine = bool(elementwise_affine)
        with_bias = elementwise_affine and bias
        self._set_parameter("weight", np.ones(self.normalized_shape, np.float32) if elementwise_affine else None)
        self._set_parameter("bias", np.zeros(self.normalized_shape, np.float32) if with_bias else None)

    def __call__(self, input: Any) -> Floats:
        """Normalise.

        Parameters
        ----------
        input : (*, *normalized_shape) array_like

        Returns
        -------
        (*, *normalized_shape) float32 array

        Raises
        ------
        TypeError, ValueError
            If `input` has the wrong type or shape.
        """
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    @classmethod
    def from_torch(cls, module: Any) -> LayerNorm:
        """Take over the weights of a torch.nn.LayerNorm."""
        expect_torch(LayerNorm, module)
        affine = module.elementwise_affine
        layer = cls(tuple(module.normalized_shape), module.eps, affine, affine and module.bias is not None)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps:g}"


class RMSNorm(Module):
    """Root mean square norm x / sqrt(mean(x^2) + eps) * weight over the last dimensions, as torch.nn.RMSNorm.

    Parameters
    ----------
    normalized_shape : int or sequence of int
    eps : float, optional
        Default: the distance from 1 to the next float32.
    elementwise_affine : bool, default True
        Whether there is `weight` (initially 1).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> RMSNorm(2, eps=0.0)([3.0, 3.0])
    array([1., 1.], dtype=float32)
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps = None if eps is None else number("RMSNorm", "eps", eps, 0.0)
        self.elementwise_affine = bool(elementwise_affine)
        self._set_parameter("weight", np.ones(self.normalized_shape, np.float32) if elementwise_affine else None)

    def __call__(self, input: Any) -> Floats:
        """Normalise.

        Parameters
        ----------
        input : (*, *normalized_shape) array_like

        Returns
        -------
        (*, *normalized_shape) float32 array

        Raises
        ------
        TypeError, ValueError
            If `input` has the wrong type or shape.
        """
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    @classmethod
    def from_torch(cls, module: Any) -> RMSNorm:
        """Take over the weights of a torch.nn.RMSNorm."""
        expect_torch(RMSNorm, module)
        layer = cls(tuple(module.normalized_shape), module.eps, module.elementwise_affine)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"
