"""The preset "ct2" gives the hypotheses and scores of CTranslate2: patience, coverage, prefixes, alternatives.

Where the two differ on purpose, the last tests say how.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastseq

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
ctranslate2 = pytest.importorskip("ctranslate2")

pytestmark = pytest.mark.filterwarnings("ignore")

VOCAB_SIZE, EOS = 12, 2
BOS = 3
START = VOCAB_SIZE  # the padding id of Marian, whose embedding is zero and which is never generated
NAMES = [f"t{token}" for token in range(VOCAB_SIZE)]
NAMES[1], NAMES[EOS] = "<unk>", "</s>"
SOURCES = [[5, 6, 7, EOS], [8, 4, EOS], [9, 3, 3, 10, EOS]]
# Both compute in float32 along different ways: sums of 8 log-probabilities below 20 agree to about 1e-5.
TOLERANCE = 2e-4


class Subject:
    """One random Marian model: in CTranslate2, and as the step function of our search.

    Marian's decoder starts from a zero embedding. Where CTranslate2 reads the tokens of a prefix in one call it then
    zeroes all of them (``zero_first_timestep`` of its src/layers/decoder.cc), so subjects that are asked for
    alternatives after a prefix start from the token `BOS`.
    """

    def __init__(self, seed: int, folder, starts_from_zero: bool = True) -> None:
        torch.manual_seed(seed)
        self.start = START if starts_from_zero else BOS
        sizes = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 40}
        counts = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
        ids = {"pad_token_id": START, "decoder_start_token_id": START, "eos_token_id": EOS, "forced_eos_token_id": None}
        config = transformers.MarianConfig(
            vocab_size=VOCAB_SIZE + 1, init_std=1.5, attn_implementation="eager", **sizes, **counts, **ids
        )
        self.model = transformers.MarianMTModel(config).eval()
        with torch.no_grad():
            self.model.model.shared.weight.mul_(0.3)
            self.model.model.shared.weight[START] = 0.0
            self.model.final_logits_bias[0, EOS] = 4.0
        spec = ctranslate2.converters.transformers.MarianMTLoader().get_model_spec(self.model)
        spec.register_source_vocabulary(NAMES)
        spec.register_target_vocabulary(NAMES)
        spec.config.eos_token, spec.config.bos_token, spec.config.unk_token = NAMES[EOS], NAMES[BOS], NAMES[1]
        spec.config.decoder_start_token = NAMES[BOS]
        spec.decoder.start_from_zero_embedding = starts_from_zero
        spec.validate()
        spec.optimize()
        spec.save(str(folder))
        self.translator = ctranslate2.Translator(str(folder), intra_threads=1, inter_threads=1)

    def theirs(self, prefix=None, **options):
        results = self.translator.translate_batch(
            [[NAMES[token] for token in source] for source in SOURCES],
            target_prefix=None if prefix is None else [[NAMES[token] for token in tokens] for tokens in prefix],
            return_scores=True, max_decoding_length=8, min_decoding_length=0,
            return_attention=True,  # without it their greedy search crashes if it has to compute a coverage penalty
            max_batch_size=1,  # in a batch, beams of all sentences get the first step's attention of the first ones
            **options,
        )  # fmt: skip
        return [
            [
                ([NAMES.index(name) for name in names], score)
                for names, score in zip(r.hypotheses, r.scores, strict=True)
            ]
            for r in results
        ]

    def step(self, ids, state):
        prefix = torch.cat([state["prefix"], torch.as_tensor(ids)[:, None]], dim=1)
        with torch.no_grad():
            output = self.model(
                encoder_outputs=(state["memory"],),
                attention_mask=state["mask"],
                decoder_input_ids=prefix,
                use_cache=False,
                output_attentions=True,
            )
        # CTranslate2 takes the first head of the last layer.
        attention = output.cross_attentions[-1][:, 0, -1]
        return output.logits[:, -1, :VOCAB_SIZE], {**state, "prefix": prefix}, attention

    def ours(self, prefix=None, **options):
        longest = max(map(len, SOURCES))
        source = torch.tensor([row + [START] * (longest - len(row)) for row in SOURCES])
        mask = (source != START).long()
        with torch.no_grad():
            memory = self.model.get_encoder()(source, attention_mask=mask).last_hidden_state
        state = {"memory": memory, "mask": mask, "prefix": torch.zeros(len(SOURCES), 0, dtype=torch.long)}
        results = fastseq.beam_search(
            self.step, state, batch_size=len(SOURCES), start_id=self.start, eos_id=EOS, preset="ct2", max_length=9,
            prefix=prefix, **options,
        )  # fmt: skip
        return [[(h.tokens, h.score) for h in result.hypotheses] for result in results]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    return [Subject(seed, tmp_path_factory.mktemp("ct2")) for seed in range(4)]


@pytest.fixture(scope="module")
def subjects_with_a_start_token(tmp_path_factory):
    return [Subject(seed, tmp_path_factory.mktemp("ct2"), starts_from_zero=False) for seed in range(4)]


def assert_same(ours, theirs, with_scores=True) -> None:
    for our_answers, their_answers in zip(ours, theirs, strict=True):
        assert [tokens for tokens, _ in our_answers] == [tokens for tokens, _ in their_answers]
        if with_scores:
            np.testing.assert_allclose(
                [score for _, score in our_answers], [score for _, score in their_answers], atol=TOLERANCE
            )


@pytest.mark.parametrize("patience", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_patience_and_length_penalties(backend, subjects, patience, length_penalty):
    for subject, num_beams in itertools.product(subjects, [2, 4]):
        count = 1 if patience < 1.0 else num_beams
        theirs = subject.theirs(
            beam_size=num_beams, num_hypotheses=count, patience=patience, length_penalty=length_penalty
        )
        ours = subject.ours(
            num_beams=num_beams, num_return_sequences=count, patience=patience, length_penalty=length_penalty
        )
        assert_same(ours, theirs)


@pytest.mark.parametrize("coverage_penalty", [0.2, 1.0])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_coverage(backend, subjects, coverage_penalty, length_penalty):
    for subject, num_beams in itertools.product(subjects, [1, 2, 4]):
        options = {"length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        theirs = subject.theirs(beam_size=num_beams, num_hypotheses=num_beams, **options)
        assert_same(subject.ours(num_beams=num_beams, num_return_sequences=num_beams, **options), theirs)


PREFIXES = [[7], [4, 5], [6, 9, 3]]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("coverage_penalty", [0.0, 0.5])
def test_prefix(backend, subjects, length_penalty, coverage_penalty):
    for subject, num_beams in itertools.product(subjects, [2, 4]):
        options = {"length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        theirs = subject.theirs(PREFIXES, beam_size=num_beams, num_hypotheses=num_beams, **options)
        assert_same(subject.ours(PREFIXES, num_beams=num_beams, num_return_sequences=num_beams, **options), theirs)


@pytest.mark.parametrize("prefix", [None, PREFIXES], ids=["from the start", "after a prefix"])
@pytest.mark.parametrize("num_beams", [2, 4])
def test_alternatives(backend, subjects_with_a_start_token, prefix, num_beams):
    # Their first tokens never end, and their probabilities are normalised again without the end token.
    same = {"min_new_tokens": 1, "renormalize_logits": True}
    for subject in subjects_with_a_start_token:
        options = {"return_alternatives": True, "length_penalty": 0.0}
        theirs = subject.theirs(prefix, beam_size=num_beams, num_hypotheses=3, **options)
        assert_same(subject.ours(prefix, num_beams=num_beams, num_return_sequences=3, **options, **same), theirs)


def test_alternatives_with_a_length_penalty_begin_alike(backend, subjects_with_a_start_token):
    # Theirs: log p of the first token + (sum of the others) / (their number) ** length_penalty.
    same = {"min_new_tokens": 1, "renormalize_logits": True}
    for subject in subjects_with_a_start_token:
        options = {"return_alternatives": True, "length_penalty": 1.0}
        theirs = subject.theirs(PREFIXES, beam_size=4, num_hypotheses=3, **options)
        ours = subject.ours(PREFIXES, num_beams=4, num_return_sequences=3, **options, **same)
        for prefix, our_answers, their_answers in zip(PREFIXES, ours, theirs, strict=True):
            end = len(prefix) + 1
            assert [tokens[:end] for tokens, _ in our_answers] == [tokens[:end] for tokens, _ in their_answers]
