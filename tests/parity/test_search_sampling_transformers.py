"""Sampling draws from the distribution that the warpers of transformers leave."""

from __future__ import annotations

import numpy as np
import pytest

import fastseq

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

BACKENDS = ("native", "numpy")
VOCAB_SIZE, START, EOS = 12, 0, 1
DRAWS = 3000

OPTIONS = [
    {"top_k": 0},
    {"top_k": 4},
    {"top_k": 0, "temperature": 0.5},
    {"top_k": 0, "temperature": 2.0, "top_p": 0.7},
    {"top_k": 0, "top_p": 0.3},
    {"top_k": 0, "min_p": 0.2},
    {"top_k": 0, "typical_p": 0.5},
    {"top_k": 6, "temperature": 1.5, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.9},
    {"top_k": 0, "top_h": 0.6},
    {"top_k": 0, "top_h": 0.3, "temperature": 2.0},
    {"top_k": 0, "epsilon_cutoff": 0.08},
    {"top_k": 0, "epsilon_cutoff": 0.9},
    {"top_k": 0, "eta_cutoff": 0.3},
    {"top_k": 0, "eta_cutoff": 0.3, "temperature": 3.0},
    {"top_k": 7, "top_h": 0.9, "typical_p": 0.95, "epsilon_cutoff": 0.03, "eta_cutoff": 0.2},
    {"top_k": 0, "top_p": 0.8, "repetition_penalty": 1.5, "suppress_tokens": [4]},
]


def distribution(logits: np.ndarray, options: dict) -> np.ndarray:
    """Probabilities of the first token in transformers, by its own processors."""
    config = transformers.GenerationConfig(do_sample=True, **options)
    sizes = {"vocab_size": VOCAB_SIZE, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 1}
    ids = {"pad_token_id": EOS, "eos_token_id": EOS, "decoder_start_token_id": START}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes, **ids))
    config._eos_token_tensor = torch.tensor([EOS])
    processors = model._get_logits_processor(config, input_ids_seq_length=1, encoder_input_ids=None)
    scores = processors(torch.tensor([[START]]), torch.from_numpy(logits[None].copy()))
    return torch.softmax(scores[0].double(), -1).numpy()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_draws_have_the_probabilities_of_transformers(options):
    logits = (np.random.default_rng(3).standard_normal(VOCAB_SIZE) * 1.5).astype(np.float32)
    expected = distribution(logits, options)
    counts = {}
    for backend in BACKENDS:
        with fastseq.use_backend(backend):
            (generation,) = fastseq.beam_search(
                lambda ids, state: (np.tile(logits, (len(ids), 1)), state), None, batch_size=1, start_id=START,
                eos_id=EOS, num_beams=1, max_new_tokens=1, do_sample=True, seed=5, num_return_sequences=DRAWS,
                **options,
            )  # fmt: skip
        tokens = [h.tokens[0] if h.tokens else EOS for h in generation.hypotheses]
        counts[backend] = np.bincount(tokens, minlength=VOCAB_SIZE)
    assert np.array_equal(counts["native"], counts["numpy"])
    assert not counts["native"][expected == 0.0].any()
    deviation = np.sqrt(DRAWS * expected * (1 - expected))
    # Five standard deviations and a half: none of the 192 cells is farther off with fair draws.
    assert (np.abs(counts["native"] - DRAWS * expected) <= 5.0 * deviation + 0.5).all()


@pytest.mark.parametrize("num_beams", [2, 3])
def test_beams_are_drawn_without_replacement_in_proportion(num_beams):
    """The best of two beams drawn from one row is the better one of a draw without replacement."""
    logits = np.log(np.array([1e-9, 1e-9, 0.5, 0.3, 0.15, 0.05], np.float32))
    firsts = np.zeros(6)
    for seed in range(600):
        (generation,) = fastseq.beam_search(
            lambda ids, state: (np.tile(logits, (len(ids), 1)), state), None, batch_size=1, start_id=START, eos_id=EOS,
            num_beams=num_beams, num_return_sequences=num_beams, max_new_tokens=1, do_sample=True, seed=seed,
            top_k=2 * num_beams,
        )  # fmt: skip
        tokens = [h.tokens[0] for h in generation.hypotheses]
        assert len(set(tokens)) == num_beams
        firsts[tokens[0]] += 1
    # Token 2 is missing only if none of the 2 * num_beams draws took it, which for 4 candidates cannot be.
    assert firsts[2] == 600
