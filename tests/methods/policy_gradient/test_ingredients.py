"""Single ingredients of the policy-gradient trainer, each switched on alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.optim import SGD

from methods.policy_gradient.actor_critic import at_completion
from methods.policy_gradient.constraint import sequence_kl_loss, token_kl
from methods.policy_gradient.trust_region import TrustRegion, conjugate_gradient, flat
from tests.agreement import assert_same_training
from tests.methods.policy_gradient.test_policy_gradient_trainer import same, train, trainer, weights
from tests.small_models import classifier_for, gpt2, tokenizer

ONE_UPDATE = {"num_mini_batches": 1, "num_ppo_epochs": 1}


def first_gradient(directory, **settings):
    """The policy's gradient at the first optimiser step, by parameter."""
    made = trainer(directory, value_weight=0.0, **settings)
    batches, tokens = made.get_batch_samples(iter(()), 1, torch.device("cpu"))
    for batch in batches:
        made.compute_loss(made.model, batch, num_items_in_batch=tokens).backward()
    return {name: p.grad for name, p in made.model.policy.named_parameters()}


def test_one_update_without_clipping_and_baseline_is_reinforce(tmp_path):
    ppo = first_gradient(tmp_path, baseline="none", clip_range=None, normalise_advantages=False, **ONE_UPDATE)
    clipped = first_gradient(tmp_path, baseline="none", clip_range=0.2, normalise_advantages=False, **ONE_UPDATE)
    reinforce = first_gradient(
        tmp_path,
        baseline="none",
        clip_range=None,
        importance_sampling=False,
        normalise_advantages=False,
        **ONE_UPDATE,
    )
    for name in reinforce:
        torch.testing.assert_close(ppo[name], reinforce[name], atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(clipped[name], reinforce[name], atol=1e-7, rtol=1e-5)
    assert any(gradient.abs().max() > 1e-4 for gradient in reinforce.values())


def test_without_a_critic_there_is_none_and_values_are_zero(tmp_path):
    made = trainer(tmp_path, baseline="batch")
    assert made.model.critic is None
    made.train()
    assert not any("value_loss" in entry for entry in made.state.log_history)
    rollouts = made.actor.roll_out(0, 16, 1)
    assert not rollouts.values.any()


def test_completions_of_one_prompt_stand_side_by_side_for_the_leave_one_out_baseline(tmp_path):
    seen = []

    def reward(prompts, completions):
        seen.append(list(prompts))
        return [float(i) for i in range(len(prompts))]

    made = trainer(
        tmp_path,
        reward=reward,
        baseline="leave_one_out",
        samples_per_prompt=4,
        kl_weight=0.0,
        normalise_advantages=False,
    )
    rollouts = made.actor.roll_out(0, 16, 1)
    (prompts,) = seen
    assert all(len({*prompts[i : i + 4]}) == 1 for i in range(0, 16, 4))
    assert len({*prompts}) == 4
    # of rewards 0, 1, 2, 3 the first has the others' mean 2 against it
    torch.testing.assert_close(rollouts.advantages[:4, 0], torch.tensor([-2.0, 1 - 5 / 3, 2 - 4 / 3, 2.0]))


def test_scores_are_normalised_by_all_scores_so_far_and_clipped(tmp_path):
    made = trainer(
        tmp_path,
        reward=lambda prompts, completions: [float(i) for i in range(len(prompts))],
        baseline="none",
        reward_normalisation=True,
        reward_clip=0.8,
        kl_weight=0.0,
        normalise_advantages=False,
    )
    made.actor.roll_out(0, 16, 1)
    returns = made.actor.roll_out(1, 16, 1).returns[:, 0]
    scores = torch.arange(16.0)
    expected = ((scores - 7.5) / scores.std(correction=0)).clamp(-0.8, 0.8)
    torch.testing.assert_close(returns, expected)
    assert made.actor.adapted.scores.count == 32


def test_advantages_are_clipped(tmp_path):
    made = trainer(tmp_path, advantage_clip=0.12, kl_weight=0.0)
    assert made.actor.roll_out(0, 16, 1).advantages.abs().max() == pytest.approx(0.12)


def goods_so_far(ids, starts, length):
    completions = at_completion(ids, starts, length, before=False)
    return (completions == 3).float().cumsum(1)  # token 3 is `good`


def test_a_dense_reward_is_how_much_each_token_changed_the_score(tmp_path):
    made = trainer(
        tmp_path,
        reward=lambda prompts, completions: [float(completion.count("good")) for completion in completions],
        prefix_reward=goods_so_far,
        baseline="none",
        gae_lambda=1.0,
        kl_weight=0.0,
        normalise_advantages=False,
    )
    rollouts = made.actor.roll_out(0, 16, 1)
    goods = (rollouts.completion_ids == 3).float() * rollouts.mask
    assert goods.any()
    torch.testing.assert_close(rollouts.returns, goods.flip(1).cumsum(1).flip(1) * rollouts.mask)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_kl_in_the_loss_is_zero_at_the_reference_and_holds_the_policy_there(tmp_path, level):
    def kls(weight):
        made = trainer(
            tmp_path,
            kl_in="loss",
            kl_level=level,
            kl_weight=weight,
            per_device_train_batch_size=32,
            max_steps=40,
            normalise_advantages=False,
        )
        made.train()
        logs = made.state.log_history
        return [entry["reference_kl"] for entry in logs if "reference_kl" in entry], [
            entry["kl"] for entry in logs if "kl" in entry
        ]

    held, loose = kls(3.0), kls(1e-6)
    assert held[0][0] == pytest.approx(0, abs=1e-6)
    assert held[1][-1] < 0.2 < loose[1][-1]


def test_the_gradient_of_the_sequence_loss_is_that_of_the_kl_and_of_the_token_loss_is_not():
    """Completions of two tokens, four words, enumerated: the second token's distribution depends on the first."""
    torch.manual_seed(0)
    first, second = torch.randn(4, requires_grad=True), torch.randn(4, 4, requires_grad=True)
    reference = torch.randn(4).log_softmax(0), torch.randn(4, 4).log_softmax(1)
    rows, columns = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T

    def pieces():
        one, two = first.log_softmax(0), second.log_softmax(1)
        mine = torch.stack([one[rows], two[rows, columns]], 1)
        theirs = torch.stack([reference[0][rows], reference[1][rows, columns]], 1)
        return one, two, mine, theirs

    one, two, mine, theirs = pieces()
    exact = (mine.sum(1).exp() * (mine - theirs).sum(1)).sum()
    truth = flat(torch.autograd.grad(exact, [first, second]))

    one, two, mine, theirs = pieces()
    weight = mine.sum(1).exp().detach()
    sampled = (weight * sequence_kl_loss(mine, theirs, torch.ones_like(mine))).sum()
    torch.testing.assert_close(flat(torch.autograd.grad(sampled, [first, second])), truth)

    one, two, mine, theirs = pieces()
    fixed = token_kl(one, reference[0]) + (one.exp().detach() * token_kl(two, reference[1])).sum()
    biased = flat(torch.autograd.grad(fixed, [first, second]))
    torch.testing.assert_close(fixed.detach(), exact.detach())
    assert not torch.allclose(biased, truth, atol=1e-3)


def test_the_kl_weight_is_adapted_towards_its_target(tmp_path):
    made = trainer(tmp_path, kl_target=50.0, max_steps=12)
    made.train()
    assert made.actor.adapted.kl_weight == pytest.approx(0.05 * 0.98**3)  # three batches, all far below


def test_the_weight_of_an_updates_kl_is_adapted_once_a_batch(tmp_path):
    made = trainer(tmp_path, clip_range=None, step_kl_weight=1.0, step_kl_target=1e3, max_steps=12)
    made.train()
    assert made.actor.adapted.step_kl_weight == pytest.approx(0.25)  # halved before the second and the third batch


def test_a_penalty_on_an_updates_kl_keeps_updates_small(tmp_path):
    def largest(weight):
        made = trainer(tmp_path, clip_range=None, step_kl_weight=weight, num_ppo_epochs=8, max_steps=32)
        made.train()
        return max(entry["approx_kl"] for entry in made.state.log_history if "approx_kl" in entry)

    assert largest(20.0) < 0.5 * largest(0.0)


def test_an_entropy_bonus_keeps_the_entropy_up(tmp_path):
    def last(weight):
        made = trainer(tmp_path, entropy_weight=weight, kl_weight=0.0, per_device_train_batch_size=32, max_steps=60)
        made.train()
        return [entry["entropy"] for entry in made.state.log_history if "entropy" in entry][-1]

    assert last(1.0) > last(0.0) + 0.2


def test_while_the_critic_warms_up_the_policy_stands_still(tmp_path):
    for critic in (None, classifier_for(gpt2())):
        made = trainer(tmp_path, critic=critic, critic_warmup=2, max_steps=8)
        before = weights(made)
        made.train()
        moved = {name for name, tensor in weights(made).items() if not torch.equal(tensor, before[name])}
        assert moved
        assert all(name.startswith("critic") for name in moved)


def test_pre_training_texts_are_learned_beside_the_reward(tmp_path):
    text = "film film plot plot"

    def nll(weight):
        made = trainer(tmp_path, ptx_weight=weight, corpus=[text] * 3, max_steps=40)
        made.train()
        ids = torch.tensor([tokenizer()(text)["input_ids"]])
        return made.model.policy(input_ids=ids, labels=ids).loss.item()

    assert nll(1.0) < 1.0 < nll(0.0)


def test_pre_training_gradients_are_the_same_however_a_batch_is_split(tmp_path):
    def run(size, accumulation):
        return train(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            ptx_weight=0.5,
            corpus=["the film", "a bad bad plot", "good", "not a good film at all"],
            optim="sgd",
            learning_rate=0.1,
        )

    assert_same_training(run(8, 1), run(1, 8), weights(trainer(tmp_path)), atol=2e-6, rtol=1e-4)


def test_ptx_without_a_corpus_is_refused(tmp_path):
    with pytest.raises(ValueError, match="pass corpus"):
        trainer(tmp_path, ptx_weight=0.1)


def test_plain_sgd_is_a_step_along_the_gradient(tmp_path):
    settings = {"optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    gradient = first_gradient(tmp_path, **settings, **ONE_UPDATE)
    made = trainer(tmp_path, value_weight=0.0, max_steps=1, **settings, **ONE_UPDATE)
    before = copy.deepcopy(made.model.policy.state_dict())
    made.train()
    assert isinstance(made._own_optimizer, SGD)
    for name, parameter in made.model.policy.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * gradient[name], atol=1e-6, rtol=1e-4)


def test_conjugate_gradients_solve_a_system():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(12, 12, generator=generator, dtype=torch.double)
    matrix, target = root @ root.T + torch.eye(12), torch.randn(12, generator=generator, dtype=torch.double)
    solution = conjugate_gradient(lambda v: matrix @ v, target, 50)
    torch.testing.assert_close(matrix @ solution, target, atol=1e-6, rtol=1e-6)


TRUST = {**ONE_UPDATE, "max_grad_norm": 0.0, "clip_range": None, "fisher_share": 1.0, "per_device_train_batch_size": 16}


def test_the_fisher_product_is_the_curvature_of_the_kl(tmp_path):
    """Against finite differences of the mean KL(π_old ‖ π) along a direction."""
    made = trainer(tmp_path, update="trpo", model=gpt2().double(), **TRUST)
    batches, tokens = made.get_batch_samples(iter(()), 1, torch.device("cpu"))
    region = made._region(batches, tokens)
    policy = made.model.policy
    parameters = list(policy.parameters())
    start = flat(parameters).detach().clone()
    direction = torch.randn(len(start), dtype=torch.double, generator=torch.Generator().manual_seed(1))
    direction /= direction.norm()
    curvature = float(direction @ region.fisher(direction))
    step = 1e-2

    def kl(length):
        torch.nn.utils.vector_to_parameters(start + length * direction, parameters)
        return region.surrogate_and_kl()[1]

    assert curvature == pytest.approx((kl(step) + kl(-step)) / step**2, rel=0.02)


@pytest.mark.parametrize("pad_is_eos", [False, True])
def test_trpo_keeps_every_update_within_its_bound_and_raises_the_reward(tmp_path, pad_is_eos):
    made = trainer(
        tmp_path,
        update="trpo",
        max_step_kl=0.01,
        cg_damping=1e-2,
        kl_weight=0.0,
        pad_is_eos=pad_is_eos,
        **{**TRUST, "per_device_train_batch_size": 32, "num_ppo_epochs": 2, "max_steps": 40},
    )
    made.train()
    assert isinstance(made._own_optimizer, TrustRegion)
    logs = [entry for entry in made.state.log_history if "step_kl" in entry]
    assert all(entry["step_kl"] <= 0.01 for entry in logs)
    assert sum(entry["step_share"] > 0 for entry in logs) > 0.8 * len(logs)
    rewards = [entry["reward"] for entry in made.state.log_history if "reward" in entry]
    assert rewards[-1] > rewards[0] + 1


def test_later_passes_of_a_trust_region_train_the_critic_alone(tmp_path):
    made = trainer(tmp_path, update="natural_gradient", max_steps=3, **{**TRUST, "num_ppo_epochs": 3})
    seen = []
    step = TrustRegion.step

    def spy(self, closure=None):
        before = flat(self.policy).clone()
        step(self, closure)
        seen.append(not torch.equal(before, flat(self.policy)))

    TrustRegion.step = spy
    try:
        made.train()
    finally:
        TrustRegion.step = step
    assert seen == [True, False, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": "leave_one_out"}, "samples_per_prompt"),
        ({"update": "trpo"}, "num_mini_batches=1"),
        ({"reward_scaling": True, "reward_normalisation": True}, "scales as well"),
        ({"kl_level": "word"}, "token, sequence"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, **settings)


ADAPTIVE = {"reward_normalisation": True, "kl_target": 1.0, "step_kl_weight": 1.0, "step_kl_target": 0.01}


@pytest.mark.parametrize("stop", [5, 8])
def test_what_is_adapted_survives_an_interruption(tmp_path, stop):
    def make():
        return trainer(
            tmp_path, max_steps=10, save_strategy="steps", save_steps=1, ptx_weight=0.1, corpus=["a plot"], **ADAPTIVE
        )

    whole, resumed = make(), make()
    whole.train()
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
    assert same(weights(whole), weights(resumed))
    assert whole.actor.adapted == resumed.actor.adapted
