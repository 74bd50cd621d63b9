"""Every option of `generate` in transformers gives the same tokens here: random combinations, drawn from seeds."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch_table_model import EOS, PAD, VOCAB_SIZE, TableSubject  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns about combinations that these tests choose
BACKENDS = ("native", "numpy")
# Both sides round sums of at most 12 log-probabilities below 40, in different order; penalties multiply them by at most
# 12 (length) and 1.5 (repetition) for each step.
TOLERANCE = 5e-5


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Models this small only get slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw_options(generator: np.random.Generator) -> dict:
    """A random combination, in the names of transformers; every option is there in about a fourth of them."""

    def some(probability=0.25):
        return generator.random() < probability

    def tokens(count, excluded=(EOS,)):
        allowed = [token for token in range(4, VOCAB_SIZE) if token not in excluded]
        return generator.choice(allowed, count, replace=False).tolist()

    num_beams = int(generator.choice([1, 2, 3, 4]))
    options: dict = {"num_beams": num_beams}
    if num_beams > 1:
        options["num_return_sequences"] = int(generator.integers(1, num_beams + 1))
        options["length_penalty"] = float(generator.choice([0.0, 0.6, 1.0, 2.0, -0.5]))
        options["early_stopping"] = [True, False, "never"][generator.integers(3)]
    limit = int(generator.integers(4, 10))
    options["max_length" if some(0.5) else "max_new_tokens"] = limit
    if some():
        options["min_length"] = int(generator.integers(0, limit))
    elif some():
        options["min_new_tokens"] = int(generator.integers(0, limit))
    if some():
        options["repetition_penalty"] = float(generator.choice([0.8, 1.3, 1.5]))
    if some():
        options["encoder_repetition_penalty"] = float(generator.choice([0.8, 1.3]))
    if some():
        options["no_repeat_ngram_size"] = int(generator.integers(1, 4))
    if some():
        options["encoder_no_repeat_ngram_size"] = int(generator.integers(1, 4))
    if some():
        options["bad_words_ids"] = [tokens(2), tokens(1), [EOS]]
    if some():
        options["sequence_bias"] = {tuple(tokens(1)): 2.0, tuple(tokens(2)): -3.0, tuple(tokens(2)): 1.5}
    suppressed = tokens(2)
    if some():
        options["suppress_tokens"] = suppressed
    if some():
        options["begin_suppress_tokens"] = [*tokens(1), EOS]
    if some():
        options["forced_bos_token_id"] = tokens(1, suppressed)[0]
    if some():
        options["forced_eos_token_id"] = EOS
    if some():
        options["exponential_decay_length_penalty"] = (
            int(generator.integers(0, 4)),
            float(generator.choice([1.2, 0.7])),
        )
    return options


def assert_same(ours, theirs, context) -> None:
    for our_answers, their_answers in zip(ours, theirs, strict=True):
        # transformers fills up with hypotheses scored about -1e9 where there are fewer possible ones than beams.
        possible = [answer for answer in their_answers if answer[1] is None or answer[1] > -1e8]
        assert [tokens for tokens, _ in our_answers] == [tokens for tokens, _ in possible], context
        for (_, our_score), (_, their_score) in zip(our_answers, possible, strict=True):
            if their_score is not None:
                assert our_score == pytest.approx(their_score, rel=TOLERANCE, abs=TOLERANCE), context


def compare(seed: int, options: dict, prefix: list[list[int]] | None = None) -> None:
    subject = TableSubject(seed)
    ours = {}
    if prefix is not None:
        prompt = np.concatenate([np.full((len(prefix), 1), 3), prefix], axis=1)
        theirs = subject.generate(pad_token_id=PAD, decoder_input_ids=torch.from_numpy(prompt), **options)
        ours["prefix"] = prefix
    else:
        theirs = subject.generate(pad_token_id=PAD, **options)
    for backend in BACKENDS:
        assert_same(subject.search(backend, **options, **ours), theirs, f"seed {seed}, {backend}, {options}, {prefix}")


@pytest.mark.parametrize("block", range(10))
def test_random_combinations_of_options(block):
    for seed in range(block * 30, block * 30 + 30):
        compare(seed, draw_options(np.random.default_rng(seed)))


@pytest.mark.parametrize("block", range(3))
def test_random_combinations_with_a_prefix(block):
    for seed in range(1000 + block * 30, 1000 + block * 30 + 30):
        generator = np.random.default_rng(seed)
        options = draw_options(generator)
        prefix = generator.integers(4, VOCAB_SIZE, (3, int(generator.integers(1, 3)))).tolist()
        compare(seed, options, prefix)
