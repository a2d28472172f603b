"""`conditional`: the control code folds into a plain model, and asks for what was rewarded."""

import pytest
import torch

from bench.contracts.errors import BenchError
from bench.models.loading import load_model
from methods.conditional import Conditional
from methods.conditional.control import Controlled, fold, quantile_of
from tests.methods.string_workbench import TASK, TOKENIZER, model, same, string_workbench

IDS = torch.tensor([[5, 9, 12, 3], [4, 4, 7, 1]])


def controlled():
    module = Controlled(model(), 3)
    torch.manual_seed(0)
    torch.nn.init.normal_(module.control.weight)
    return module


def test_quantiles_hold_equally_many_scores_in_order():
    assert quantile_of([0.3, -1.0, 5.0, 0.2, 4.0, 0.1], 3) == [1, 0, 2, 1, 2, 0]
    assert sorted(quantile_of([1.0] * 10, 5)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_control_code_that_is_zero_changes_nothing():
    module = Controlled(model(), 3)
    out = module(IDS, torch.ones_like(IDS), torch.tensor([0, 2])).logits
    assert torch.allclose(out, model()(IDS).logits, atol=1e-6)


def test_the_folded_model_on_plain_tokens_is_the_controlled_one_at_the_best_level(tmp_path):
    module = controlled()
    wanted = module(IDS, torch.ones_like(IDS), torch.tensor([2, 2])).logits
    assert not torch.allclose(wanted, module(IDS, torch.ones_like(IDS), torch.tensor([0, 0])).logits, atol=0.1)
    assert torch.allclose(module.policy(IDS).logits, wanted, atol=1e-5)
    assert same(module.model, model()), "folding works on a copy"
    module.policy.save_pretrained(tmp_path)
    assert torch.allclose(load_model(tmp_path, TOKENIZER)(IDS).logits, wanted, atol=1e-5)


def test_an_untied_model_is_folded_as_well():
    untied = fold(model(), torch.zeros(16))
    vector = torch.linspace(-1, 1, 16)
    assert torch.allclose(fold(untied, vector)(IDS).logits, fold(model(), vector)(IDS).logits, atol=1e-5)


def test_an_embedding_that_is_more_than_a_table_is_refused():
    class Scaled(torch.nn.Embedding):
        """Some model's own."""

    odd = model()
    odd.set_input_embeddings(Scaled(20, 16))
    with pytest.raises(BenchError, match="Scaled"):
        Controlled(odd, 2)


def test_asking_for_the_best_gives_more_reward_on_plain_prompts(tmp_path):
    place = string_workbench(tmp_path, needs={"reward_model"})
    policy = Conditional(samples=1024, quantiles=4, epochs=4, learning_rate=2e-2).train(place)
    prompts = list(TASK.prompts("test")["prompt"]) * 8

    def reward(each):
        drawn = each.sample(prompts, 1)
        return sum(place.reward_model(drawn.prompts, drawn.completions)) / len(prompts)

    spread = torch.tensor(
        place.reward_model(prompts, place.policy(place.reference).sample(prompts, 1).completions)
    ).std()
    assert reward(policy) > reward(place.policy(place.reference)) + 0.5 * float(spread)
    assert policy.model.get_output_embeddings().weight is not policy.model.get_input_embeddings().weight


def test_what_was_spent_is_counted(tmp_path):
    steps = []
    place = string_workbench(tmp_path, curve_points=2, on_measure=lambda policy, step: steps.append(step))
    first = Conditional(samples=64, quantiles=2, epochs=1).train(place).model
    assert place.cost.reward_model_calls == 64
    assert 64 <= place.cost.tokens_sampled <= 4 * 64
    # two tokens of each prompt; completions as sampled, and an EOS where one was cut off
    assert 2 * 64 + place.cost.tokens_sampled <= place.cost.tokens_trained <= 2 * 64 + place.cost.tokens_sampled + 64
    assert steps == [0, 1, 2]
    assert same(first, Conditional(samples=64, quantiles=2, epochs=1).train(string_workbench(tmp_path)).model)
