"""What weights are called and how many rows they have: for layers, readers and the reference alike."""

from __future__ import annotations

__all__ = ["CELL_GATES", "MULTIPLICATIVE", "TRANSITION_GATES", "WEIGHT_KINDS", "is_narrow", "packed_type"]

# Of one direction of a recurrent layer, as PyTorch names and orders them.
WEIGHT_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

# Gates whose rows stand one below the other in the weights of a cell.
CELL_GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
# The same of cells that transitions are made of.
TRANSITION_GATES = CELL_GATES | {"gru_nematus": 3, "multiplicative_gru": 3, "multiplicative_lstm": 4}
MULTIPLICATIVE = ("multiplicative_lstm", "multiplicative_gru")

# Parts of the names of matrices that are no weights of dense or recurrent layers.
_DISTANCES = (".relative_keys.", ".relative_queries.")
_TABLES = ("embedding.", "positions.", "token_types.", "relative_bias.", ".score.", *_DISTANCES)


def is_narrow(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is the weight of a dense or recurrent layer: a matrix, but no table or vector of scores."""
    return len(shape) == 2 and not any(part in name for part in _TABLES)


def packed_type(name: str, compute_type: str) -> str:
    """Return what a packed tensor is computed in: vectors of distances are part of attention, which is in float32."""
    return "float32" if any(part in name for part in _DISTANCES) else compute_type
