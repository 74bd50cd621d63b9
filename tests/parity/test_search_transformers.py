"""Greedy and beam search give the hypotheses of `generate` in transformers, token for token."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastseq

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns about lengths that these tests choose

BACKENDS = ("native", "numpy")
VOCAB_SIZE = 17
PAD, EOS, START = 0, 2, 3
MAX_LENGTH = 10
# The models run in float64, so both searches see the same float32 logits. Each log-probability is rounded by at most
# a few eps * 32 (logits stay below 32) on either side, each of MAX_LENGTH sums by eps * 100: below 1e-5 in all; the
# length penalties below 0 multiply it by at most MAX_LENGTH.
TOLERANCE = 1e-5


def tiny_config(family: str):
    if family == "t5":
        return transformers.T5Config(
            vocab_size=VOCAB_SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=PAD,
            eos_token_id=EOS, decoder_start_token_id=START, tie_word_embeddings=False, initializer_factor=1.5,
            dropout_rate=0.0,
        )  # fmt: skip
    config_class = {"marian": transformers.MarianConfig, "bart": transformers.BartConfig}[family]
    return config_class(
        vocab_size=VOCAB_SIZE, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=40,
        pad_token_id=PAD, eos_token_id=EOS, bos_token_id=START, decoder_start_token_id=START,
        forced_eos_token_id=None, tie_word_embeddings=False, init_std=1.5, dropout=0.0, attention_dropout=0.0,
        activation_dropout=0.0,
    )  # fmt: skip


class Subject:
    """A random model with a batch of sources, run by `generate` or as the step function of our search."""

    def __init__(self, family: str, seed: int, batch_size: int = 4, sharpness: float = 0.4) -> None:
        torch.manual_seed(seed)
        self.model = transformers.AutoModelForSeq2SeqLM.from_config(tiny_config(family)).double().eval()
        self.model.generation_config.forced_eos_token_id = None
        # An output layer of its own, or a random model would mostly repeat its last token.
        # The end token gets a longer row, so that its logit is at times the largest.
        output = torch.randn(VOCAB_SIZE, 16, dtype=torch.double) * sharpness
        output[EOS] *= 2.0
        self.model.lm_head.weight = torch.nn.Parameter(output)
        if family == "bart":
            self.model.final_logits_bias[0, EOS] = 4.0
        if family == "t5":  # attention as strong as the embedding, or permuted prefixes would be tied
            for block in (self.model.encoder.block[0], self.model.decoder.block[0]):
                for layer in block.layer:
                    layer.apply(lambda m: m.weight.data.mul_(3.0) if isinstance(m, torch.nn.Linear) else None)
        self.source = torch.randint(4, VOCAB_SIZE, (batch_size, 7))
        lengths = torch.randint(1, 8, (batch_size, 1))
        self.mask = (torch.arange(7) < lengths).long()
        self.source[self.mask == 0] = PAD
        self.batch_size = batch_size

    def generate(self, eos_ids: list[int], **options) -> list[list[tuple[list[int], float, bool]]]:
        num_return_sequences = options.get("num_return_sequences", 1)
        with torch.no_grad():
            output = self.model.generate(
                self.source, attention_mask=self.mask, do_sample=False, eos_token_id=eos_ids, pad_token_id=PAD,
                decoder_start_token_id=START, return_dict_in_generate=True, output_scores=True, output_logits=True,
                **options,
            )  # fmt: skip
        answers = []
        for i, sequence in enumerate(output.sequences.tolist()):
            generated = sequence[1:]
            end = next((t for t, token in enumerate(generated) if token in eos_ids), None)
            tokens = generated[:end]
            if options.get("num_beams", 1) > 1:
                score = float(output.sequences_scores[i])
            else:  # generate has no score for greedy search
                scored = generated[: None if end is None else end + 1]
                log_probs = [torch.log_softmax(logits[i].float(), -1) for logits in output.logits]
                total = sum(float(log_probs[t][token]) for t, token in enumerate(scored))
                score = total / len(scored) ** options.get("length_penalty", 1.0)
            answers.append((tokens, score, end is not None))
        return [answers[i : i + num_return_sequences] for i in range(0, len(answers), num_return_sequences)]

    def encoded(self):
        with torch.no_grad():
            return self.model.get_encoder()(self.source, attention_mask=self.mask).last_hidden_state

    def recompute(self, ids, state):
        """Run the decoder over the whole prefix; the search reorders the tensors of the state by itself."""
        prefix = torch.cat([state["prefix"], torch.as_tensor(ids)[:, None]], dim=1)
        memory, mask = state["source"]
        with torch.no_grad():
            output = self.model(
                encoder_outputs=(memory,), attention_mask=mask, decoder_input_ids=prefix, use_cache=False
            )
        return output.logits[:, -1], {"prefix": prefix, "source": (memory, mask)}

    def cached(self, ids, state):
        """Run the decoder over one token with a cache that `reorder_cached` reorders."""
        memory, mask, cache = state
        with torch.no_grad():
            output = self.model(
                encoder_outputs=(memory,), attention_mask=mask, decoder_input_ids=torch.as_tensor(ids)[:, None],
                past_key_values=cache, use_cache=True,
            )  # fmt: skip
        return output.logits[:, -1], (memory, mask, output.past_key_values)

    @staticmethod
    def reorder_cached(state, parents):
        memory, mask, cache = state
        index = torch.as_tensor(parents)
        cache.reorder_cache(index)
        return memory[index], mask[index], cache

    def search(self, backend: str, eos_ids: list[int], step: str = "recompute", **options):
        arguments = {"batch_size": self.batch_size, "start_id": START, "eos_id": eos_ids, **options}
        arguments.setdefault("num_beams", 1)
        memory = self.encoded()
        with fastseq.use_backend(backend):
            if step == "cached":
                state = (memory, self.mask, None)
                results = fastseq.beam_search(self.cached, state, reorder=self.reorder_cached, **arguments)
            else:
                state = {"prefix": torch.zeros(self.batch_size, 0, dtype=torch.long), "source": (memory, self.mask)}
                results = fastseq.beam_search(self.recompute, state, **arguments)
        return [[(h.tokens, h.score, h.finished) for h in result.hypotheses] for result in results]


def assert_same(ours, theirs, tolerance: float = TOLERANCE) -> None:
    assert len(ours) == len(theirs)
    for our_answers, their_answers in zip(ours, theirs, strict=True):
        assert [(tokens, finished) for tokens, _, finished in our_answers] == [
            (tokens, finished) for tokens, _, finished in their_answers
        ]
        our_scores = [score for _, score, _ in our_answers]
        their_scores = [score for _, score, _ in their_answers]
        np.testing.assert_allclose(our_scores, their_scores, rtol=tolerance, atol=tolerance)


def compare(subject: Subject, eos_ids: list[int] | None = None, step: str = "recompute", **options) -> list:
    eos_ids = eos_ids or [EOS]
    options = {"max_length": MAX_LENGTH, **options}
    theirs = subject.generate(eos_ids, **options)
    for backend in BACKENDS:
        assert_same(subject.search(backend, eos_ids, step, **options), theirs)
    return theirs


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Models this small only get slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def subjects() -> dict[str, list[Subject]]:
    return {family: [Subject(family, seed) for seed in range(4)] for family in ("marian", "bart", "t5")}


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("num_beams", [2, 4, 5])
def test_beam_search_with_every_length_penalty_and_stopping_rule(subjects, num_beams, early_stopping):
    for length_penalty, subject in itertools.product([0.0, 0.6, 1.0, 2.0, -1.0], subjects["marian"]):
        options = {"num_beams": num_beams, "length_penalty": length_penalty, "early_stopping": early_stopping}
        compare(subject, **options)


@pytest.mark.parametrize("family", ["marian", "bart", "t5"])
@pytest.mark.parametrize("step", ["recompute", "cached"])
def test_every_family_with_and_without_a_cache(subjects, family, step):
    for subject, num_beams in itertools.product(subjects[family], [1, 2, 4, 5]):
        compare(subject, step=step, num_beams=num_beams)


@pytest.mark.parametrize("family", ["marian", "t5"])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_min_length(subjects, family, num_beams):
    for subject, min_length in itertools.product(subjects[family], [2, 5, MAX_LENGTH]):
        answers = compare(subject, num_beams=num_beams, min_length=min_length)
        for tokens, _, finished in itertools.chain(*answers):
            assert 1 + len(tokens) + finished > min_length or not finished
        compare(subject, num_beams=num_beams, min_new_tokens=min_length - 1)


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("num_return_sequences", [2, 5])
def test_all_hypotheses_and_their_order(subjects, num_return_sequences, early_stopping):
    for subject in (*subjects["marian"], *subjects["t5"]):
        answers = compare(
            subject, num_beams=5, num_return_sequences=num_return_sequences, early_stopping=early_stopping
        )
        assert all(len(sentence) == num_return_sequences for sentence in answers)


@pytest.mark.parametrize("eos_ids", [[EOS, 5], [EOS, 7, 11, 13]])
@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_several_end_tokens(subjects, num_beams, eos_ids):
    for subject, early_stopping in itertools.product(subjects["bart"], [True, False]):
        options = {"early_stopping": early_stopping} if num_beams > 1 else {}
        compare(subject, eos_ids, num_beams=num_beams, **options)
        compare(subject, eos_ids, num_beams=num_beams, min_length=4, num_return_sequences=num_beams, **options)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_max_new_tokens_down_to_one(subjects, num_beams):
    for subject, max_new_tokens in itertools.product(subjects["marian"], [1, 2, 3]):
        options = {"max_new_tokens": max_new_tokens, "num_beams": num_beams, "num_return_sequences": num_beams}
        theirs = subject.generate([EOS], **options)
        for backend in BACKENDS:
            assert_same(subject.search(backend, [EOS], **options), theirs)


def test_the_models_of_these_tests_end_early_late_and_not_at_all(subjects):
    finished = set()
    for family, family_subjects in subjects.items():
        lengths = set()
        for subject in family_subjects:
            answers = subject.generate([EOS], num_beams=4, num_return_sequences=4, max_length=MAX_LENGTH)
            for tokens, _, ended in itertools.chain(*answers):
                lengths.add(len(tokens))
                finished.add(ended)
        assert len(lengths) >= 4, family
    assert finished == {True, False}


def test_the_comparison_notices_a_wrong_token_and_a_wrong_score(subjects):
    theirs = subjects["marian"][0].generate([EOS], num_beams=2, max_length=MAX_LENGTH)
    tokens, score, finished = theirs[0][0]
    with pytest.raises(AssertionError):
        assert_same([[([*tokens, 4], score, finished)], *theirs[1:]], theirs)
    with pytest.raises(AssertionError):
        assert_same([[(tokens, score - 3 * TOLERANCE * (1 + abs(score)), finished)], *theirs[1:]], theirs)
