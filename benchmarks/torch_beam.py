"""A plain beam search in PyTorch over the networks of examples/g2p, by the rules of Hugging Face's: one source."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from fastseq.models.quantized import read_quantized
from fastseq.reference.quantize import narrow
from fastseq.weights import open_weights

__all__ = ["beam_search", "load_network"]

NETWORKS = Path(__file__).resolve().parents[1] / "examples" / "g2p" / "networks.py"
BOS, EOS, NEVER = 1, 2, -1e9


def load_network(folder: Path) -> Any:
    """The PyTorch module that a bundled model was trained as, with the folder's weights."""
    import torch

    spec = importlib.util.spec_from_file_location("networks", NETWORKS)
    assert spec is not None and spec.loader is not None
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    network = networks.build(json.loads((folder / "config.json").read_text(encoding="utf-8")), 0.0)
    stored = read_quantized(folder, open_weights(folder))
    weights = {name: narrow(weight, "float32") for name, weight in stored.items()}
    network.load_state_dict({name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()})
    return network.eval()


def beam_search(network: Any, source: list[int], beams: int, max_length: int = 256) -> list[int]:
    """The best hypothesis without its end token.

    Of the 2 * beams best continuations those of the first `beams` ranks may end, the others go on; the score is the
    mean log-probability; the end comes when the best that goes on does not beat the worst of `beams` finished ones.
    """
    import torch

    with torch.inference_mode():
        memory, state = network.encode(torch.tensor([source]))
        memory = memory.expand(beams, -1, -1)
        if state is not None:  # (layers, 1, H) each
            state = tuple(part.expand(-1, beams, -1).contiguous() for part in state)
        ids = torch.full((beams, 1), BOS)
        running = torch.full((beams, 1), NEVER)
        running[0] = 0.0
        finished: list[tuple[float, list[int]]] = []
        for length in range(1, max_length):
            logits, state = network.decode(ids if state is None else ids[:, -1:], memory, state)
            scores = torch.log_softmax(logits[:, -1], -1) + running
            values, places = torch.topk(scores.flatten(), 2 * beams)
            parents, tokens = places // scores.shape[1], places % scores.shape[1]
            ends = tokens == EOS
            for rank in ends[:beams].nonzero().flatten().tolist():
                finished.append((values[rank].item() / length, ids[parents[rank], 1:].tolist()))
            finished = sorted(finished, key=lambda one: -one[0])[:beams]
            kept = (~ends).nonzero().flatten()[:beams]
            parents = parents[kept]
            ids = torch.cat((ids[parents], tokens[kept, None]), 1)
            running = values[kept, None]
            if state is not None:
                state = tuple(part[:, parents] for part in state)
            if len(finished) == beams and running[0].item() / length <= finished[-1][0]:
                break
        going_on = (running[0].item() / length, ids[0, 1:].tolist())
        return max([*finished, *([going_on] if len(finished) < beams else [])], key=lambda one: one[0])[1]
