"""Beam search for a PyTorch module, with the search reordering its state, or the module itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import fastseq

VOCABULARY, HIDDEN, HEADS = 12, 16, 4
START, END = 0, 1


class EncoderDecoder(nn.Module):
    """A GRU encoder and a GRU decoder with multi-head attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.encoder = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.decoder = nn.GRU(HIDDEN, HIDDEN, num_layers=2, batch_first=True)
        self.attention = nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True)
        self.output = nn.Linear(2 * HIDDEN, VOCABULARY)

    def start(self, sources: torch.Tensor) -> dict[str, Any]:
        """Encode sources (n, S). Everything in the state has the rows on axis 0: PyTorch's own GRU has layers there."""
        memory, last = self.encoder(self.embedding(sources))
        return {"memory": memory, "layers": [last[0], last[0]]}

    def step(self, ids: NDArray[np.int64], state: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any], torch.Tensor]:
        """Read one token in each row."""
        x = self.embedding(torch.from_numpy(ids))[:, None]
        top, hidden = self.decoder(x, torch.stack(state["layers"]))
        context, weights = self.attention(top, state["memory"], state["memory"])
        logits = self.output(torch.cat([context, top], dim=2))[:, 0]
        return logits, {"memory": state["memory"], "layers": list(hidden)}, weights[:, 0]


class Session:
    """A state of one's own, which the search does not look into."""

    def __init__(self, module: EncoderDecoder, sources: torch.Tensor) -> None:
        self.module = module
        self.state = module.start(sources)

    def reorder(self, parents: NDArray[np.int64]) -> None:
        """Row i becomes what row ``parents[i]`` was."""
        rows = torch.from_numpy(parents)
        self.state = {
            "memory": self.state["memory"].index_select(0, rows),
            "layers": [layer.index_select(0, rows) for layer in self.state["layers"]],
        }


def own_step(ids: NDArray[np.int64], session: Session) -> tuple[torch.Tensor, Session]:
    """The step function of a `Session`."""
    logits, session.state, _ = session.module.step(ids, session.state)
    return logits, session


def own_reorder(session: Session, parents: NDArray[np.int64]) -> Session:
    """What ``reorder=`` calls."""
    session.reorder(parents)
    return session


@torch.inference_mode()
def search(sources: list[list[int]], **options: object) -> tuple[list[fastseq.Generation], list[fastseq.Generation]]:
    """Beam search with a random module, its state reordered by the search and by itself."""
    torch.manual_seed(0)
    module = EncoderDecoder().eval()
    encoded = torch.tensor(sources)
    arguments = {"batch_size": len(sources), "start_id": START, "eos_id": END, "max_length": 10, **options}
    by_search = fastseq.beam_search(module.step, module.start(encoded), return_attention=True, **arguments)
    by_itself = fastseq.beam_search(own_step, Session(module, encoded), reorder=own_reorder, **arguments)
    return by_search, by_itself


def main() -> None:
    """Print the best hypothesis of two sources."""
    for generation in search([[5, 3, 7], [4, 9, 2]], num_beams=4)[0]:
        print(generation.tokens, f"{generation.score:.3f}", "aligned to", generation.hypotheses[0].alignment)


if __name__ == "__main__":
    main()
