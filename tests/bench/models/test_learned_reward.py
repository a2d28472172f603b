"""A reward model reads what was sampled, to its end, wherever padding and context have theirs."""

import pytest
import torch

from bench.models.encoding import encode_prompt
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier
from bench.workbench.policy import ModelPolicy
from tests.encoding_table.kinds import KINDS, PLAIN_NAMES, Kind, byte_bpe
from tests.encoding_table.users import Place, listening

PROMPTS, COMPLETIONS = ["what is red ?", "say"], [" a colour .", " two words . all is well"]


def reward(place):
    assert place.tokenizer
    torch.manual_seed(0)
    return RewardModel(load_classifier(place.folder, place.tokenizer), place.tokenizer)


def test_what_was_sampled_is_read_as_the_tokens_that_were_sampled(tmp_path):
    place = Place(KINDS["plain text, byte BPE"], tmp_path)
    model = place.workbench.reference
    samples = ModelPolicy(model, place.tokenizer, 24).sample(PROMPTS * 8, seed=0)
    own = reward(place)
    with listening(own.module) as heard:
        own(samples.prompts, samples.completions)
    read = [row[kept.bool()].tolist() for ids, mask in heard for row, kept in zip(ids, mask, strict=True)]
    eos = place.tokenizer.eos_token_id
    assert read == [
        [*before, *(ids if ids[-1] != eos else ids[:-1]), eos]
        for before, ids in zip(samples.prompt_ids, samples.completion_ids, strict=True)
    ]
    again = place.tokenizer([str(text) for text in samples.completions])["input_ids"]
    assert any(len(other) > 24 for other in again)  # of undecodable bytes each is three tokens


def test_a_text_longer_than_the_context_gives_way_to_its_end(tmp_path):
    place = Place(KINDS["plain text, byte BPE"], tmp_path)
    own = reward(place)
    own.module.config.max_position_embeddings = 20
    with listening(own.module) as heard:
        own(PROMPTS[:1], [" blue" * 40])
    ((ids, _),) = heard
    before = encode_prompt(place.tokenizer, PROMPTS[0])
    assert ids.shape == (1, 20)
    assert ids[0, : len(before)].tolist() == before
    assert ids[0, -1] == place.tokenizer.eos_token_id


def test_which_token_pads_makes_no_difference(tmp_path):
    scores = []
    for pad in ("<pad>", "<eos>", "<unk>"):
        names = PLAIN_NAMES | {"pad_token": pad}
        place = Place(Kind(lambda names=names: byte_bpe(**names), ("", "")), tmp_path / pad)
        own = reward(place)
        scores.append(own(PROMPTS, COMPLETIONS))
        alone = [score for row in zip(PROMPTS, COMPLETIONS, strict=True) for score in own(*([each] for each in row))]
        assert scores[-1] == pytest.approx(alone, abs=1e-6)
    assert scores[0] == scores[1] == scores[2]
