"""Stacks of Transformer layers."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from fastseq._checks import Floats, integer
from fastseq.nn.module import Module, expect_torch
from fastseq.nn.norm import LayerNorm
from fastseq.nn.transformer import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = ["TransformerDecoder", "TransformerEncoder"]

_Layers = TypeVar("_Layers", bound="_Stack")


class _Stack(Module):
    """Copies of one layer, and a norm behind them."""

    _layer: type[TransformerEncoderLayer] | type[TransformerDecoderLayer]

    def __init__(self, layer: Any, num_layers: int, norm: LayerNorm | None = None) -> None:
        super().__init__()
        where = type(self).__name__
        if not isinstance(layer, self._layer):
            raise TypeError(f"{where}: the layer is {type(layer).__name__}; expected {self._layer.__name__}")
        self.num_layers = integer(where, "num_layers", num_layers, 0)
        self._set_layers([copy.deepcopy(layer) for _ in range(self.num_layers)])
        if norm is not None:
            if not isinstance(norm, LayerNorm):
                raise TypeError(f"{where}: norm is {type(norm).__name__}; expected LayerNorm or None")
            self._add("norm", norm)

    def _set_layers(self, layers: list[Any]) -> None:
        self.layers = layers
        for i, child in enumerate(layers):
            self._add(f"layers.{i}", child)

    def _normalise(self, x: Floats) -> Floats:
        norm = self._children.get("norm")
        return norm(x) if isinstance(norm, LayerNorm) else x

    @classmethod
    def from_torch(cls: type[_Layers], module: Any, *, compute_type: str = "float32") -> _Layers:
        """Take over the weights of torch.nn's stack of the same name.

        Raises
        ------
        TypeError
            If it is another kind of module.
        ValueError
            If it has no layers, or its layers have an activation that is not supported.
        """
        expect_torch(cls, module)
        if len(module.layers) == 0:
            raise ValueError(f"{cls.__name__}.from_torch: module has no layers; expected at least one")
        norm = None if module.norm is None else LayerNorm.from_torch(module.norm)
        layers = [cls._layer.from_torch(layer, compute_type=compute_type) for layer in module.layers]
        stack = cls(layers[0], len(layers), norm)
        stack._set_layers(layers)  # each with its own options
        return stack

    def _arguments(self) -> str:
        return f"{self.layers[0] if self.layers else None}, {self.num_layers}"


class TransformerEncoder(_Stack):
    """Encoder layers one after the other, as torch.nn.TransformerEncoder.

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        Each layer begins as a copy of it.
    num_layers : int
    norm : LayerNorm, optional
        Applied to the last layer's output.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(np.ones((3, 2, 8))).shape
    (3, 2, 8)
    """

    _layer = TransformerEncoderLayer

    def __init__(self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: LayerNorm | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def __call__(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Floats:
        """Apply all layers; arguments and result as in `TransformerEncoderLayer`, with `mask` for `src_mask`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return self._normalise(src)


class TransformerDecoder(_Stack):
    """Decoder layers one after the other, as torch.nn.TransformerDecoder.

    Parameters
    ----------
    decoder_layer : TransformerDecoderLayer
        Each layer begins as a copy of it.
    num_layers : int
    norm : LayerNorm, optional
        Applied to the last layer's output.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> decoder(np.ones((3, 2, 8)), np.ones((5, 2, 8)), tgt_is_causal=True).shape
    (3, 2, 8)
    """

    _layer = TransformerDecoderLayer

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: LayerNorm | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def __call__(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Floats:
        """Apply all layers; arguments and result as in `TransformerDecoderLayer`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return self._normalise(tgt)
