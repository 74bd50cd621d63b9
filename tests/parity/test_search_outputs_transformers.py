"""Log-probabilities and logits of every token are those that transformers gives: random combinations of options."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from test_search_processors_transformers import draw_options  # noqa: E402
from torch_table_model import EOS, PAD, START, TableSubject  # noqa: E402

import fastseq  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns about combinations that these tests choose
# Differences of float32 sums below 40, each step's penalties applied to both sides.
TOLERANCE = {"rtol": 2e-4, "atol": 3e-5}


def theirs(subject, options):
    """For each hypothesis its token log-probabilities (beam search), and its logits."""
    with torch.no_grad():
        output = subject.module.generate(
            torch.from_numpy(subject.source), pad_token_id=PAD, do_sample=False, use_cache=False,
            return_dict_in_generate=True, output_scores=True, output_logits=True, **options,
        )  # fmt: skip
    beams = output.beam_indices if options["num_beams"] > 1 else torch.arange(len(output.sequences))[:, None]
    beams = beams.expand(-1, len(output.scores)) if options["num_beams"] == 1 else beams[:, : len(output.scores)]
    scores = subject.module.compute_transition_scores(output.sequences, output.scores, beams)
    answers = []
    for i, sequence in enumerate(output.sequences[:, 1:].tolist()):
        count = sequence.index(EOS) + 1 if EOS in sequence else len(sequence)
        count = min(count, int((beams[i] >= 0).sum()))
        logits = torch.stack([output.logits[t][beams[i, t]] for t in range(count)])
        answers.append((sequence[:count], scores[i, :count].numpy(), logits.numpy()))
    return answers


@pytest.mark.parametrize("seed", range(40))
def test_every_token_has_their_log_probability_and_logits(seed):
    options = draw_options(np.random.default_rng(seed))
    subject = TableSubject(seed)
    expected = theirs(subject, options)
    total = subject.tables[2][subject.source].sum(axis=1, dtype=np.float32)
    for backend in ("native", "numpy"):
        with fastseq.use_backend(backend):
            found = fastseq.beam_search(
                subject.step, {"previous": np.full(subject.batch_size, START), "length": 0, "source": total},
                batch_size=subject.batch_size, start_id=START, eos_id=EOS, encoder_input_ids=subject.source.tolist(),
                return_token_log_probs=True, return_logits=True, **options,
            )  # fmt: skip
        ours = [h for generation in found for h in generation.hypotheses]
        if len(ours) != len(expected):  # transformers fills up where fewer hypotheses are possible than beams
            pytest.skip("fewer hypotheses are possible than beams")
        for h, (tokens, log_probs, logits) in zip(ours, expected, strict=True):
            written = [*h.tokens, EOS] if h.finished else h.tokens
            assert written == tokens, (seed, backend, options)
            np.testing.assert_allclose(h.logits, logits, rtol=1e-5, atol=1e-5)
            if options["num_beams"] > 1:
                np.testing.assert_allclose(h.token_log_probs, log_probs, **TOLERANCE)
