"""What is sampled is what autograd takes, and its log-probabilities are the model's."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Mamba2Config, MambaConfig, MixtralConfig, RwkvConfig

from bench.contracts.stage_settings import TinyModel
from bench.models.loading import load_model
from bench.models.padding import pad_left
from bench.models.sampling import generate
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer

TOKENIZER = word_tokenizer([f"w{i}" for i in range(9)])


def test_samples_can_be_trained_on_and_the_model_after_sampling():
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), TOKENIZER, seed=0)
    torch.manual_seed(1)
    prompts = torch.randint(3, 12, (4, 3))
    tokens, mask, logprobs = generate(model, prompts, torch.ones_like(prompts), 5)
    logits = model(torch.cat([prompts, tokens], 1)).logits[:, 2:-1]
    again = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1) * mask
    torch.testing.assert_close(again, logprobs, atol=1e-5, rtol=1e-5)
    ((again - logprobs).exp() * mask).sum().backward()
    assert model.transformer.wte.weight.grad.isfinite().all()


def test_a_llama_is_trained_after_it_was_sampled_from(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_scaling": {"rope_type": "dynamic", "factor": 2.0},
    }
    LlamaForCausalLM(LlamaConfig(**shape, **heads, max_position_embeddings=6)).save_pretrained(tmp_path)
    model = load_model(tmp_path, TOKENIZER)
    torch.manual_seed(1)
    prompts = torch.randint(3, 12, (4, 5))
    tokens, _, _ = generate(model, prompts, torch.ones_like(prompts), 6)  # its positions are stretched meanwhile
    model(torch.cat([prompts, tokens], 1)).logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "config",
    [
        MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2),
        Mamba2Config(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=1,
            num_heads=4,
            head_dim=8,
            state_size=4,
            n_groups=1,
            chunk_size=8,
        ),
        RwkvConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2),
    ],
    ids=lambda config: config.model_type,
)
def test_a_model_whose_state_is_no_key_value_cache_is_sampled_as_it_says(config):
    config.pad_token_id, config.eos_token_id = 0, 1
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(3)  # far from uniform, or nothing shows
    prompts = [[5, 6], [7, 8, 9, 10, 11, 12], [4]]
    tokens, mask, logprobs = generate(model, *pad_left(prompts, 0), 12)
    for prompt, row, count, said in zip(prompts, tokens.tolist(), mask.sum(1).tolist(), logprobs, strict=True):
        with torch.no_grad():
            whole = model(input_ids=torch.tensor([[*prompt, *row[:count]]])).logits[0].log_softmax(-1)
        places = torch.arange(count)
        truth = whole[len(prompt) - 1 + places, torch.tensor(row[:count])]
        torch.testing.assert_close(said[:count], truth, atol=1e-4, rtol=1e-4)


def test_a_mixture_of_experts_is_sampled_while_it_is_trained_to_balance_them():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        MixtralConfig(
            vocab_size=12, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, num_local_experts=2, output_router_logits=True, eos_token_id=1, pad_token_id=0,
        )
    )  # fmt: skip
    tokens, mask, _ = generate(model, *pad_left([[3, 4], [5]], 0), 4)
    assert tokens.shape == mask.shape and mask[:, 0].all()
