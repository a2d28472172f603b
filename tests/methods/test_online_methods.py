"""`rloo`, `grpo` and `expert_iteration`: learning from the model's own samples, scored by the reward model."""

import pytest
import torch
from pydantic import ValidationError

from bench.models.padding import pad_left
from methods.expert_iteration import ExpertIteration
from methods.grpo import GRPO
from methods.rloo import RLOO, count_positions_from_the_first_token
from tests.methods.string_workbench import TOKENIZER, Uneven, logged, model, pad_is_eos, same, string_workbench

QUICK = {"steps": 2, "rollouts": 16, "num_generations": 4, "epochs": 2, "minibatches": 2}
ONLINE = [RLOO(**QUICK), GRPO(**QUICK)]
ALL = [*ONLINE, ExpertIteration(rounds=2, prompts=8, n=4, batch_size=4)]


def by_name(method):
    return method.name


def workbench(directory, **fields):
    return string_workbench(directory, task=Uneven(), **fields)


def mean_reward(place, policy):
    prompts = list(place.prompts["prompt"]) * 32
    drawn = policy.sample(prompts, 5)
    return sum(place.reward_model(drawn.prompts, drawn.completions)) / len(prompts)


@pytest.mark.parametrize(
    "method",
    [
        RLOO(steps=15, rollouts=64, learning_rate=1e-2, beta=0.0),
        GRPO(steps=15, rollouts=64, learning_rate=1e-2, beta=0.0),
        ExpertIteration(rounds=4, prompts=64, n=8, epochs=2, learning_rate=1e-2),
    ],
    ids=by_name,
)
def test_the_reward_rises(method, tmp_path):
    place = workbench(tmp_path)
    before = mean_reward(place, place.policy(place.reference))
    assert mean_reward(place, method.train(place)) > before + 0.3
    assert same(place.reference, model())


@pytest.mark.parametrize("method", ALL, ids=by_name)
def test_the_reward_model_sees_prompt_and_completion_as_they_were_sampled(method, tmp_path):
    place, seen = workbench(tmp_path), []
    reward = place.reward_model

    def watched(prompts, completions):
        seen.extend(zip(prompts, completions, strict=True))
        return reward(prompts, completions)

    place._cache["reward_model"] = watched
    method.train(place)
    assert all(completion == "" or completion.startswith((" ", "<")) for _, completion in seen)
    tokens = sum(
        len(TOKENIZER(prompt + completion)["input_ids"]) - len(TOKENIZER(prompt)["input_ids"])
        for prompt, completion in seen
    )
    # what was sampled and scored is the same text: an EOS more for those that ended
    assert tokens <= place.cost.tokens_sampled <= tokens + len(seen)


@pytest.mark.parametrize("method", ALL, ids=by_name)
def test_same_seed_same_weights_and_pad_may_be_eos(method, tmp_path):
    torch.rand(3)
    first = method.train(workbench(tmp_path)).model
    assert same(first, method.train(workbench(tmp_path)).model)
    assert not same(first, method.train(workbench(tmp_path, seed=1)).model)
    padded = workbench(tmp_path, tokenizer=pad_is_eos())
    policy = method.train(padded)
    assert all(p.isfinite().all() for p in policy.model.parameters())
    assert not same(policy.model, model())
    assert padded.cost.tokens_sampled > 0


@pytest.mark.parametrize("method", ONLINE, ids=by_name)
def test_what_was_spent_is_counted_and_the_policy_measured_on_the_way(method, tmp_path):
    steps = []
    place = workbench(tmp_path, curve_points=2, on_measure=lambda policy, step: steps.append(step))
    method.train(place)
    assert place.cost.reward_model_calls == 2 * 16
    assert steps == [0, 4, 8]
    assert place.cost.tokens_trained > 2 * place.cost.tokens_sampled > 0  # each of two passes, prompts included


@pytest.mark.parametrize("method", ONLINE, ids=by_name)
def test_the_log_calls_the_reward_by_a_name_that_stays(method, tmp_path):
    assert "rewards/reward/mean" in logged(method, workbench(tmp_path))[0]


@pytest.mark.parametrize("method", [RLOO, GRPO], ids=lambda method: method.name)
def test_the_kl_is_that_to_the_reference_of_the_workbench(method, tmp_path):
    one_step = method(**QUICK | {"steps": 1, "epochs": 1, "minibatches": 1})
    assert logged(one_step, workbench(tmp_path))[0]["kl"] == pytest.approx(0, abs=1e-5)
    moved = workbench(tmp_path)
    moved._cache["reference"] = model(seed=5).eval().requires_grad_(False)
    assert logged(one_step, moved)[0]["kl"] > 0.01


@pytest.mark.parametrize("method", [RLOO, GRPO], ids=lambda method: method.name)
def test_a_strong_pull_keeps_the_policy_nearer_to_the_reference(method, tmp_path):
    def last_kl(beta):
        entries = logged(method(steps=8, rollouts=64, learning_rate=1e-2, beta=beta), workbench(tmp_path))
        return [each["kl"] for each in entries if "kl" in each][-1]

    assert last_kl(5.0) < 0.7 * last_kl(0.01)


def test_more_prompts_may_be_asked_than_there_are(tmp_path):
    place = workbench(tmp_path)
    RLOO(steps=1, rollouts=64, num_generations=2).train(place)
    assert place.cost.reward_model_calls == 64
    assert len(place.prompts) == 8


def test_left_padded_rows_get_the_positions_of_rows_without_padding():
    rows = [[4, 9, 7], [5, 5, 6, 8, 3]]
    ids, mask = pad_left(rows, TOKENIZER.pad_token_id)
    policy = model().eval()
    alone = policy(torch.tensor([rows[0]])).logits[0]
    assert not torch.allclose(policy(input_ids=ids, attention_mask=mask).logits[0, 2:], alone, atol=1e-3)
    hook = count_positions_from_the_first_token(policy)
    assert torch.allclose(policy(input_ids=ids, attention_mask=mask).logits[0, 2:], alone, atol=1e-5)
    hook.remove()
    assert not policy._forward_pre_hooks


@pytest.mark.parametrize("method", ONLINE, ids=by_name)
def test_the_policy_handed_back_has_no_hook_left(method, tmp_path):
    policy = method.train(workbench(tmp_path))
    assert not policy.model._forward_pre_hooks
    assert policy.model.config._name_or_path == model().config._name_or_path


def test_groups_that_do_not_divide_the_rollouts_are_refused():
    for name in ("num_generations", "minibatches"):
        with pytest.raises(ValidationError, match=f"multiple of {name}"):
            RLOO(rollouts=16, **{name: 3})


def test_expert_iteration_samples_itself_or_the_frozen_reference(tmp_path):
    def cost_and_policy(on_policy):
        place = workbench(tmp_path)
        policy = ExpertIteration(rounds=3, prompts=16, n=4, on_policy=on_policy, learning_rate=3e-2).train(place)
        return place.cost.reward_model_calls, policy.model

    (mine, own), (theirs, frozen) = cost_and_policy(True), cost_and_policy(False)
    assert mine == theirs == 3 * 16 * 4
    assert not same(own, frozen)
    one = [
        ExpertIteration(rounds=1, prompts=16, n=4, on_policy=each).train(workbench(tmp_path)).model
        for each in (True, False)
    ]
    assert same(*one), "in the first round both sample the SFT model"


def test_a_round_trains_on_the_winners_of_its_draws(tmp_path):
    place = workbench(tmp_path)
    sampler = place.policy(place.reference)
    best = ExpertIteration(prompts=8, n=4).best_samples(place, sampler, 0)
    asked = [prompt for prompt in best["prompt"] for _ in range(4)]
    drawn = sampler.sample(asked, seed=0)
    scores = place.reward_model(drawn.prompts, drawn.completions)
    kept = place.reward_model(best["prompt"], best["completion"])
    assert kept == pytest.approx([max(scores[i : i + 4]) for i in range(0, 32, 4)], abs=1e-5)
    assert sorted(best["prompt"]) == sorted(place.prompts["prompt"])
