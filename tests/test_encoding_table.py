"""The same rows give the same ids to all that read them: see `tests.encoding_table`."""

import os
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from bench.models.encoding import encode_pairs, text_of
from tests.encoding_table.kinds import KINDS, Kind
from tests.encoding_table.page import page
from tests.encoding_table.users import USERS, Place, fault

PAGE = Path(__file__).parents[1] / "results" / "reference" / "encoding.md"
QUICK = ("samples", "judge", "perplexity")


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_reads_as_its_author_wrote_it_and_measures_read_what_is_sampled_from(kind, tmp_path):
    place = Place(KINDS[kind], tmp_path)
    tokenizer, (prompt, end) = place.tokenizer, KINDS[kind].reads
    for before, completion in encode_pairs(tokenizer, place.rows["prompt"][:1], place.rows["chosen"][:1]):
        assert tokenizer.decode(before) == prompt
        assert tokenizer.decode([*before, *completion[:-1]]).removeprefix(prompt).strip() == "a colour ."
        assert tokenizer.convert_ids_to_tokens(completion[-1]) == end
        assert [*before, *completion].count(tokenizer.bos_token_id) <= 1
    assert {user: fault(place, user) for user in QUICK} == dict.fromkeys(QUICK)


def test_all_users_read_the_same_where_a_turn_ends_in_another_token_than_eos(tmp_path):
    place = Place(KINDS["Gemma (no system turn)"], tmp_path)
    assert {user: fault(place, user) for user in USERS} == dict.fromkeys(USERS)


@pytest.mark.slow
def test_the_page_of_the_table_is_what_the_command_prints():
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.slow
@pytest.mark.parametrize("chat", [True, False])
def test_a_real_vocabulary_reads_the_same(chat, tmp_path):
    if not (folder := os.environ.get("BENCH_REAL_TOKENIZER")):
        pytest.skip("set BENCH_REAL_TOKENIZER to the folder of a tokenizer, such as SmolLM2's")
    place = Place(Kind(lambda: AutoTokenizer.from_pretrained(folder), ("", ""), chat=chat), tmp_path)
    assert {user: fault(place, user) for user in USERS} == dict.fromkeys(USERS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_trained_on_copies_of_one_answer_gives_it_back_and_stops(kind, tmp_path):
    place = Place(KINDS[kind], tmp_path)
    assert place.tokenizer  # saves the model
    row = place.demonstrations[0]
    model = place.workbench.base_model()
    copies = Dataset.from_list([row] * 64)
    place.workbench.fine_tune(model, copies, epochs=40, batch_size=16, learning_rate=3e-2)
    policy = place.workbench.policy(model)
    policy.max_new_tokens = 24
    drawn = policy.sample([row["prompt"]] * 16, seed=0)
    assert drawn.finished == [True] * 16
    assert {text_of(completion) for completion in drawn.completions} == {text_of(row["completion"])}
