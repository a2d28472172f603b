"""What PolicyGradientTrainer promises, on models of a few thousand parameters."""

from __future__ import annotations

import itertools

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM

from bench.contracts.errors import Diverged
from methods.policy_gradient.config import PolicyGradientConfig
from methods.policy_gradient.trainer import PolicyGradientTrainer
from tests.agreement import assert_same_training
from tests.small_models import classifier_for, gpt2, llama, tokenizer

PROMPTS = ["the film", "a plot", "the bad bad film", "good", "not a good film", "the plot the plot", "a"]


def count_good(prompts, completions):
    return [float(completion.split().count("good")) for completion in completions]


def trainer(directory, *, model=None, reward=count_good, prompts=PROMPTS, pad_is_eos=False, **settings):
    objects = {
        key: settings.pop(key)
        for key in ("critic", "ref_model", "callbacks", "prefix_reward", "corpus")
        if key in settings
    }
    defaults = {
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8,
        "num_mini_batches": 2,
        "num_ppo_epochs": 2,
        "max_completion_length": 6,
        "max_steps": 4,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "bf16": False,
    }
    return PolicyGradientTrainer(
        model=gpt2() if model is None else model,
        reward=reward,
        args=PolicyGradientConfig(output_dir=str(directory), **{**defaults, **settings}),
        train_dataset=Dataset.from_dict({"prompt": list(prompts)}),
        processing_class=tokenizer(pad_is_eos),
        **objects,
    )


def weights(trained: PolicyGradientTrainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}


def train(directory, **settings) -> dict[str, torch.Tensor]:
    made = trainer(directory, **settings)
    made.train()
    return weights(made)


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("make", "separate", "temperature"),
    [(gpt2, False, 1.0), (gpt2, True, 0.7), (llama, False, 0.7), (llama, True, 1.0)],
)
def test_on_the_first_pass_the_ratio_is_one_and_the_gradient_is_reinforce_with_advantages(
    tmp_path, make, separate, temperature
):
    model = make()
    made = trainer(
        tmp_path,
        model=model,
        critic=classifier_for(model) if separate else None,
        temperature=temperature,
        num_mini_batches=1,
        value_weight=0.0,
    )
    (batch,), tokens = made.get_batch_samples(iter(()), 1, torch.device("cpu"))
    assert len({*(batch["starts"] + batch["mask"].sum(1)).tolist()}) > 1, "the case has padding"
    mask, length = batch["mask"], batch["mask"].shape[1]
    assert tokens == mask.sum()

    made.compute_loss(made.model, batch, num_items_in_batch=tokens).backward()
    surrogate = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    # one row at a time, no padding at all
    reinforce = torch.zeros(())
    for row in range(8):
        new = int(mask[row].sum())
        ids = batch["input_ids"][row, : batch["starts"][row] + new].unsqueeze(0)
        logprobs = (model(ids).logits[0, -new - 1 : -1] / temperature).log_softmax(-1)
        taken = logprobs.gather(1, ids[0, -new:, None]).squeeze(1)
        torch.testing.assert_close(taken.detach(), batch["logprobs"][row, :new], atol=1e-5, rtol=1e-5)
        reinforce = reinforce - (batch["advantages"][row, :new] * taken).sum() / tokens
    reinforce.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(surrogate[name], parameter.grad, atol=1e-6, rtol=1e-4)
    assert length == int(mask.sum(1).max())


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("separate", [False, True])
def test_a_value_is_that_of_the_state_before_its_token(tmp_path, make, separate):
    model = make()
    critic = classifier_for(model) if separate else None
    pair = trainer(tmp_path, model=model, critic=critic).model
    if not separate:
        torch.nn.init.normal_(pair.critic.weight)
    ids = torch.randint(3, 10, (2, 7), generator=torch.Generator().manual_seed(0))
    starts = torch.tensor([3, 3])
    _, _, values = pair(ids, starts, 4)
    torch.testing.assert_close(values, pair.values(ids, starts, 4))
    for token in range(4):
        before = ids[:, : 3 + token]
        if separate:
            expected = torch.stack([critic(row.unsqueeze(0)).logits[0, 0] for row in before])
        else:
            expected = pair.critic(model.base_model(before).last_hidden_state[:, -1]).squeeze(-1)
        torch.testing.assert_close(values[:, token], expected, atol=1e-5, rtol=1e-4)


def test_with_lambda_one_the_critic_is_to_predict_the_score_at_every_token(tmp_path):
    scores = iter(range(16))
    made = trainer(
        tmp_path,
        critic=classifier_for(gpt2()),
        reward=lambda prompts, completions: [float(next(scores)) for _ in completions],
        gae_lambda=1.0,
        kl_weight=0.0,
    )
    rollouts = made.actor.roll_out(0, 16, 1)
    expected = torch.arange(16.0).unsqueeze(1) * rollouts.mask
    torch.testing.assert_close(rollouts.returns, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("separate", [False, True])
def test_batch_8_and_batch_1_accumulated_8_times_are_the_same_training(tmp_path, separate):
    def run(size, accumulation):
        return train(
            tmp_path,
            critic=classifier_for(gpt2()) if separate else None,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
            learning_rate=0.1,
            max_steps=6,
        )

    start = weights(trainer(tmp_path, critic=classifier_for(gpt2()) if separate else None))
    assert_same_training(run(8, 1), run(1, 8), start, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize(("stop", "separate"), [(3, True), (4, False)])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path, separate, stop):
    """Four steps use one rollout batch, so step 3 is in the midst of one and step 4 between two."""

    def make():
        torch.manual_seed(9)  # must not matter
        critic = classifier_for(gpt2()) if separate else None
        return trainer(tmp_path, critic=critic, max_steps=7, save_strategy="steps", save_steps=1)

    whole, resumed = make(), make()
    whole.train()
    torch.rand(13)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
    assert same(weights(whole), weights(resumed))
    tokens = [[entry["num_tokens"] for entry in t.state.log_history if "num_tokens" in entry] for t in (whole, resumed)]
    assert tokens[0] == tokens[1]


def test_a_checkpoint_is_a_model_in_transformers_format_with_the_critic_beside_it(tmp_path):
    made = trainer(tmp_path, save_strategy="steps", save_steps=4)
    made.train()
    checkpoint = tmp_path / "checkpoint-4"
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert same(model.state_dict(), made.model.policy.state_dict())
    assert (checkpoint / "critic.safetensors").is_file()
    assert not list(checkpoint.glob("rollouts-*")), "between two rollout batches there is none to keep"


def test_padding_with_eos_or_with_a_token_of_its_own_is_the_same_training(tmp_path):
    own, eos = train(tmp_path, max_steps=6), train(tmp_path, max_steps=6, pad_is_eos=True)
    assert_same_training(own, eos, weights(trainer(tmp_path)), atol=1e-7)


def test_a_reward_that_carries_gradients_gives_the_same_update_as_a_detached_one(tmp_path):
    scale = torch.ones((), requires_grad=True)

    def carrying(prompts, completions):
        return scale * torch.tensor(count_good(prompts, completions))

    detached = train(tmp_path)
    assert same(detached, train(tmp_path, reward=carrying))
    assert same(detached, train(tmp_path, reward=lambda **texts: list(carrying(**texts))))
    assert scale.grad is None


def test_without_a_kl_weight_the_reference_is_never_run(tmp_path):
    calls = []

    def run(kl_weight):
        reference = gpt2()
        reference.register_forward_hook(lambda *_: calls.append(kl_weight))
        made = trainer(tmp_path, ref_model=reference, kl_weight=kl_weight)
        made.train()
        return [name for entry in made.state.log_history for name in entry]

    assert "kl" not in run(0.0)
    assert not calls
    assert "kl" in run(0.1)
    assert calls


def test_the_kl_weight_holds_the_policy_at_the_reference(tmp_path):
    def last_kl(kl_weight):
        made = trainer(tmp_path, kl_weight=kl_weight, max_steps=40, per_device_train_batch_size=32)
        made.train()
        return [entry["kl"] for entry in made.state.log_history if "kl" in entry][-1]

    assert last_kl(10.0) < 0.2
    assert last_kl(1e-6) > 0.8


def test_conversations_are_shown_to_the_reward_as_messages(tmp_path):
    seen = []

    def reward(prompts, completions):
        seen.extend(zip(prompts, completions, strict=True))
        return [float(completion[0]["content"].count("good")) for completion in completions]

    conversations = [[{"role": "user", "content": text}] for text in PROMPTS]
    train(tmp_path, reward=reward, prompts=conversations)
    for prompt, completion in seen:
        assert prompt in conversations
        assert [message["role"] for message in completion] == ["assistant"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_stops_training_and_names_the_step(tmp_path, bad):
    batches = itertools.count()

    def reward(prompts, completions):
        return [bad if next(batches) >= 16 else 1.0 for _ in completions]  # the second batch of rollouts

    with pytest.raises(Diverged) as caught:
        train(tmp_path, reward=reward, max_steps=20)
    assert (caught.value.what, caught.value.step) == ("reward", 5)


def test_a_reward_of_the_wrong_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 numbers for 16 completions"):
        train(tmp_path, reward=lambda prompts, completions: [1.0])


def test_the_trained_model_is_refused_as_its_own_reference(tmp_path):
    model = gpt2()
    with pytest.raises(ValueError, match="being trained"):
        trainer(tmp_path, model=model, ref_model=model)


@pytest.mark.parametrize("separate", [False, True])
def test_it_raises_a_reward_that_can_be_raised(tmp_path, separate):
    made = trainer(
        tmp_path,
        critic=classifier_for(gpt2()) if separate else None,
        per_device_train_batch_size=32,
        max_steps=80,
        kl_weight=0.0,
    )
    made.train()
    rewards = [entry["reward"] for entry in made.state.log_history if "reward" in entry]
    assert rewards[0] < 1.5
    assert rewards[-1] > 4


def test_a_missing_eos_is_punished(tmp_path):
    def last_share(penalty):
        made = trainer(
            tmp_path,
            reward=lambda prompts, completions: [0.0] * len(completions),
            missing_eos_penalty=penalty,
            per_device_train_batch_size=32,
            max_steps=40,
            kl_weight=0.0,
        )
        made.train()
        return [entry["finished"] for entry in made.state.log_history if "finished" in entry][-1]

    assert last_share(1.0) > 0.9 > last_share(0.0)


def test_the_first_step_starts_at_the_reference_with_ratio_one(tmp_path):
    made = trainer(tmp_path, per_device_train_batch_size=16, num_mini_batches=1, max_steps=2)
    made.train()
    first = made.state.log_history[0]
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert first["ratio_max"] == pytest.approx(1, abs=1e-5)
    assert first["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert first["clip_fraction"] == 0
    assert 0 <= first["finished"] <= 1 <= first["completion_length"] < 6  # so there is padding
    assert 0 < first["entropy"] < 2.31  # ln 10
    assert {"loss", "policy_loss", "value_loss", "reward", "explained_variance"} <= first.keys()
    assert made.actor.tokens_sampled == round(16 * first["completion_length"])


def test_an_update_is_read_after_its_last_step(tmp_path):
    made = trainer(tmp_path, per_device_train_batch_size=16, num_mini_batches=1, num_ppo_epochs=1, max_steps=1)
    made.train()
    logged, sampled = made.state.log_history[0], made._rollouts
    log_ratios = []
    for row in range(16):
        start, length = int(sampled.starts[row]), int(sampled.mask[row].sum())
        ids = sampled.input_ids[row : row + 1, : start + length]
        with torch.no_grad():
            logp = made.model.policy(ids).logits.log_softmax(-1)[0, start - 1 : -1]
        after = logp[range(length), sampled.completion_ids[row, :length]]
        log_ratios.append(after - sampled.logprobs[row, :length])
    ratios = torch.cat(log_ratios).exp()
    assert logged["approx_kl"] == pytest.approx(0, abs=1e-6)  # what the only loss of one pass sees
    by_hand = (ratios - 1 - ratios.log()).mean().item()
    assert by_hand > 1e-3
    assert logged["update_kl"] == pytest.approx(by_hand, rel=1e-3)
    assert logged["ratio_99"] == pytest.approx(ratios.quantile(0.99).item(), rel=1e-4)


def test_the_loss_logged_is_policy_loss_plus_weighted_value_loss(tmp_path):
    made = trainer(tmp_path, value_weight=0.3, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    made.train()
    for entry in made.state.log_history[:-1]:
        assert entry["loss"] == pytest.approx(entry["policy_loss"] + 0.3 * entry["value_loss"], abs=1e-5)


def test_the_critic_has_its_own_learning_rate(tmp_path):
    made = trainer(tmp_path, critic_learning_rate=0.5)
    made.create_optimizer()
    rates = {id(parameter): group["lr"] for group in made.optimizer.param_groups for parameter in group["params"]}
    assert {rates[id(p)] for p in made.model.critic.parameters()} == {0.5}
    assert {rates[id(p)] for p in made.model.policy.parameters()} == {1e-2}


def test_dropout_is_off(tmp_path):
    model = gpt2()
    model.transformer.drop.p = 0.5
    made = trainer(tmp_path, model=model)
    made.model.train()
    assert model.transformer.drop.p == 0


def test_the_same_seed_gives_the_same_training_and_another_seed_another(tmp_path):
    assert same(train(tmp_path, seed=1), train(tmp_path, seed=1))
    assert not same(train(tmp_path, seed=1), train(tmp_path, seed=2))
