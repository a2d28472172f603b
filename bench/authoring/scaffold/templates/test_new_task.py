"""`new_task` keeps what the bench asks of every task, and its gold reward is what it says."""

import pytest
from new_task import NewTask

from bench import task_checks


@pytest.mark.parametrize("check", task_checks(NewTask))
def test_the_contract_is_kept(check):
    check()


def test_gold_counts_kind_and_unkind_words():
    prompts = ["the hall is"] * 4
    completions = [" clean bright tidy", " dusty dark damp", " clean dusty the", ""]
    assert NewTask().gold(prompts, completions) == [1, -1, 0, 0]
