"""The rollout batch: its rows, its file, and the order in which prompts come."""

from __future__ import annotations

import torch

from methods.policy_gradient.rollout import Averages, Rollouts, permutation, prompts_at, seed_of


def rollouts() -> Rollouts:
    prompt_mask = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]])
    figures = [torch.rand(3, 4) for _ in range(4)]
    return Rollouts(torch.arange(9).view(3, 3), prompt_mask, torch.arange(10, 22).view(3, 4), mask, *figures)


def test_rows_cut_off_the_padding_they_share_and_nothing_else():
    whole = rollouts()
    batch = whole.rows(torch.tensor([1, 0]))
    assert batch["input_ids"].tolist() == [[4, 5, 14, 15], [1, 2, 10, 11]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [0, 1, 1, 1]]
    assert torch.equal(batch["advantages"], whole.advantages[[1, 0], :2])
    assert whole.rows(torch.tensor([2]))["input_ids"].shape == (1, 7)


def test_a_rollout_batch_is_read_back_as_it_was_written(tmp_path):
    whole = rollouts()
    whole.save(tmp_path / "rollouts.safetensors")
    again = Rollouts.load(tmp_path / "rollouts.safetensors", torch.device("cpu"))
    assert again.reference is None
    whole.reference = again.reference = whole.logprobs
    assert all(torch.equal(a, b) for a, b in zip(vars(whole).values(), vars(again).values(), strict=True))


def test_every_prompt_comes_once_per_pass_in_a_new_order_each_time():
    first, second = prompts_at(range(10), 10, seed=3), prompts_at(range(10, 20), 10, seed=3)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert prompts_at(range(7, 12), 10, seed=3) == (first + second)[7:12]


def test_seeds_differ_by_purpose_and_by_place():
    seeds = {seed_of(purpose, 0, i, j) for purpose in ("a", "b") for i in range(5) for j in range(5)}
    assert len(seeds) == 50
    assert not torch.equal(permutation(20, seed_of("a", 0)), permutation(20, seed_of("b", 0)))


def test_averages_are_weighted_and_start_afresh():
    averages = Averages()
    averages.add(torch.tensor(2), loss=torch.tensor(10.0))
    averages.add(torch.tensor(3), loss=torch.tensor(5.0), entropy=torch.tensor(9.0))
    assert averages.flush(lambda sums: sums) == {"loss": 3.0, "entropy": 3.0}
    assert averages.flush(lambda sums: sums) == {}
