"""A PyTorch encoder-decoder as a fastseq model folder: GRU, additive attention, input feeding (Bahdanau et al., 2015).

    python export_pytorch.py

The network is random. It is written to a folder, loaded again, and both sides are compared.
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from torch import Tensor, nn

import fastseq
from fastseq.models import RecurrentSeq2SeqConfig
from fastseq.text import Vocabulary

LETTERS = list("abcdefghijklmnopqrstuvwxyz")
PAD, BOS, EOS = 0, 1, 2
SIZE, ATTENTION = 32, 24


class Network(nn.Module):
    """Its parameters have the names of a model folder from the start, so the state dictionary is the export."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.embedding = nn.Embedding(vocab_size, SIZE)
        self.encoder.rnn = nn.GRU(SIZE, SIZE, bidirectional=True)
        self.bridge = nn.Module()
        self.bridge.h = nn.ModuleList([nn.Linear(2 * SIZE, SIZE)])
        self.decoder = nn.Module()
        self.decoder.embedding = nn.Embedding(vocab_size + 2, SIZE)
        self.decoder.rnn = nn.GRU(2 * SIZE, SIZE)
        self.attention = nn.Module()
        self.attention.query = nn.Linear(SIZE, ATTENTION, bias=False)
        self.attention.key = nn.Linear(2 * SIZE, ATTENTION, bias=False)
        self.attention.bias = nn.Parameter(torch.zeros(ATTENTION))
        self.attention.score = nn.Linear(ATTENTION, 1, bias=False)
        self.attention.combine = nn.Linear(3 * SIZE, SIZE)
        self.output = nn.Linear(SIZE, vocab_size + 2)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits (T, V) after each token of `target` (T,), which begins with BOS, for one sentence `source` (S,)."""
        memory, last = self.encoder.rnn(self.encoder.embedding(source))
        state = torch.tanh(self.bridge.h[0](last.flatten()))[None]
        attentional = torch.zeros(SIZE)
        logits = []
        for token in target:
            x = torch.cat((self.decoder.embedding(token), attentional))[None]
            hidden, state = self.decoder.rnn(x, state)
            query = self.attention.query(hidden) + self.attention.bias
            scores = self.attention.score(torch.tanh(query + self.attention.key(memory)))[:, 0]
            context = scores.softmax(0) @ memory
            attentional = torch.tanh(self.attention.combine(torch.cat((context, hidden[0]))))
            logits.append(self.output(attentional))
        return torch.stack(logits)


def main() -> None:
    torch.manual_seed(1)
    vocabulary = Vocabulary(["<pad>", *LETTERS], ["<pad>", "<bos>", "<eos>", *LETTERS], separator="")
    network = Network(len(vocabulary.source)).eval()
    config = RecurrentSeq2SeqConfig(
        source_vocab_size=len(vocabulary.source),
        target_vocab_size=len(vocabulary.target),
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        cell="gru",
        source_embedding_size=SIZE,
        target_embedding_size=SIZE,
        encoder_hidden_size=SIZE,
        encoder_num_layers=1,
        encoder_bidirectional=True,
        decoder_hidden_size=SIZE,
        decoder_num_layers=1,
        bridge="dense",
        attention="additive",
        attention_size=ATTENTION,
        input_feeding=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        fastseq.save_model(folder, config, tensors, vocabulary)
        model = fastseq.load_model(folder)

    source, target = vocabulary.encode("encoder"), [BOS, 5, 9, 22, 4]
    with torch.no_grad():
        expected = network(torch.tensor(source), torch.tensor(target)).numpy()
    [logits] = model.decode([source], [target])
    difference = float(np.abs(logits - expected).max())
    print(f"largest difference of the logits: {difference:.1e}")
    if difference > 1e-5:
        raise SystemExit("fastseq and PyTorch disagree")

    [generation] = model.generate([source], num_beams=4, max_new_tokens=10)
    print(f"generated: {vocabulary.separator.join(vocabulary.decode(generation.tokens))!r} ({generation.score:.3f})")


if __name__ == "__main__":
    main()
