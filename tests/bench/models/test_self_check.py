"""A model that somebody else trained is held against its tokenizer, the task's texts and itself, in one line."""

import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    PreTrainedTokenizerFast,
    RwkvConfig,
)

from bench.contracts.errors import BenchError
from bench.models.ends import add_stops
from bench.models.loading import load_model
from bench.models.sampling import cached, generate
from bench.models.self_check import check_sampling, check_texts, check_tokenizer
from bench.models.tokenizers import load_tokenizer
from bench.stages import base
from bench.stages.artifact import POINTER
from bench.stages.job import Job
from tests.small_models import WORDS, gpt2, llama, tokenizer

PROMPTS = ["good film", "the plot", "a bad a bad a film"]
IDS = [tokenizer()(each)["input_ids"] for each in PROMPTS]


def sharp(model):
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(3)
    return model.eval()


def refusal(check, *given):
    with pytest.raises(BenchError) as caught:
        check(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_model_passes_and_is_sampled_with_its_cache():
    model = llama()
    check_tokenizer(tokenizer(), "DIR")
    check_texts(model, tokenizer(), "DIR", PROMPTS, ["not good"], 8)
    found = check_sampling(model, "DIR", IDS)
    assert found["sampling_gap"] < 1e-3 and found["scoring_gap"] < 1e-3 and not found["without_cache"]


def test_a_tokenizer_without_an_end_is_refused_with_what_the_model_declares(tmp_path):
    silent = PreTrainedTokenizerFast(tokenizer_object=tokenizer().backend_tokenizer)
    silent.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 1}))
    said = refusal(check_tokenizer, load_tokenizer(tmp_path), tmp_path)
    assert "has no EOS token" in said and "such as '<eos>', id 1" in said


def test_ids_behind_the_embedding_are_refused_by_name():
    longer = tokenizer()
    longer.add_tokens(["<stop>", "extra"])
    check_texts(llama(), longer, "DIR", PROMPTS, [], 8)  # what nobody writes does no harm
    said = refusal(check_texts, llama(), longer, "DIR", [*PROMPTS, "good extra"], [], 8)
    assert "10 rows" in said and "token of the task's texts 'extra' has id 11" in said
    add_stops(longer, ["<stop>"])
    assert "a stop token '<stop>' has id 10" in refusal(check_texts, llama(), longer, "DIR", PROMPTS, [], 8)
    longer.pad_token = "extra"
    assert "padding token 'extra'" in refusal(check_texts, llama(), longer, "DIR", PROMPTS, [], 8)


def test_texts_in_words_that_the_tokenizer_does_not_know_are_refused():
    said = refusal(check_texts, llama(), tokenizer(), "DIR", ["was ist rot", "ein Film"], [], 8)
    assert "100% of their tokens are '<unk>'" in said


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    llama().save_pretrained(tmp_path / "llama")
    assert "no tokenizer can be read from" in refusal(load_tokenizer, tmp_path / "llama")
    gpt2().save_pretrained(tmp_path / "gpt2")
    empty = load_tokenizer(tmp_path / "gpt2")  # transformers makes one of no words
    assert "is its tokenizer.json missing?" in refusal(check_texts, gpt2(), empty, tmp_path, PROMPTS, [], 8)


def test_a_context_that_no_prompt_fits_is_refused_with_what_would_fit():
    model = llama()
    model.config.max_position_embeddings = 6
    assert "max_completion_tokens to 4 or less" in refusal(check_texts, model, tokenizer(), "D", PROMPTS, [], 8)


def test_a_template_that_ends_no_turn_is_refused():
    endless = tokenizer()
    endless.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    conversation = [[{"role": "user", "content": "good film"}]]
    assert "does not end an assistant's turn" in refusal(check_texts, llama(), endless, "D", conversation, [], 8)


def test_prompts_of_no_token_are_refused():
    assert "every prompt is empty" in refusal(check_sampling, llama(), "DIR", [[], []])


def test_a_model_that_looks_ahead_is_refused():
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    both_ways = AutoModelForCausalLM.from_config(
        BertConfig(vocab_size=10, hidden_size=16, pad_token_id=0, eos_token_id=1, is_decoder=False, **shape)
    )
    assert "it is not causal" in refusal(check_sampling, sharp(both_ways), "DIR", IDS)


class Forgetful(LlamaForCausalLM):
    """Whose cache holds nothing of what was read: what it says with it is not what it says without."""

    def forward(self, input_ids=None, past_key_values=None, attention_mask=None, position_ids=None, **inputs):
        inputs["use_cache"] = False
        if past_key_values is not None:
            attention_mask = position_ids = None
        return super().forward(input_ids, attention_mask, position_ids, **inputs)


def test_a_model_with_a_cache_that_lies_is_sampled_without_it_from_then_on(tmp_path):
    config = LlamaConfig(
        vocab_size=10, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = sharp(Forgetful(config))
    assert cached(model)
    assert check_sampling(model, "DIR", IDS)["without_cache"] == 1
    model.save_pretrained(tmp_path)
    assert not cached(load_model(tmp_path, tokenizer()))
    ids = torch.tensor([[3, 4]])
    tokens, _, logprobs = generate(model, ids, torch.ones_like(ids), 3)
    with torch.no_grad():
        plain = model(torch.cat([ids, tokens], 1)).logits.log_softmax(-1)[0, 1:-1]
    torch.testing.assert_close(plain[range(tokens.shape[1]), tokens[0]], logprobs[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind, with_cache", [(MambaConfig, True), (RwkvConfig, False)])
def test_a_recurrent_model_is_sampled_right_with_a_state_of_its_own_or_without(kind, with_cache):
    torch.manual_seed(0)
    config = kind(vocab_size=10, hidden_size=16, num_hidden_layers=2, pad_token_id=0, eos_token_id=1)
    found = check_sampling(sharp(AutoModelForCausalLM.from_config(config)), "DIR", IDS)
    assert found["without_cache"] != with_cache and found["sampling_gap"] < 1e-3


def base_job(folder, model, texts):
    """The stage `base` of a saved model and a file of pairs."""
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    rows = [{"prompt": f"{text} ", "chosen": "good film", "rejected": "bad"} for text in texts for _ in range(4)]
    (folder / "pairs.json").write_text(json.dumps(rows))
    settings = {"path": str(folder / "pairs.json"), "max_completion_tokens": 4}
    spec = {"task": {"name": "dataset", "settings": settings}, "plugins": [], "seed": 0, "device": "cpu"}
    spec |= {"model": str(folder / "model"), "model_digest": "", "demonstrations_seed": 0}
    artifact = folder / "artifact"
    artifact.mkdir()
    return Job(spec, artifact, {}, folder / "scratch", lambda step, total: None)


def test_the_base_stage_refuses_a_model_that_does_not_fit_and_writes_nothing(tmp_path):
    short = llama()
    short.resize_token_embeddings(6)
    job = base_job(tmp_path, short, WORDS)
    assert "has 6 rows in its embedding" in refusal(base.run, job)
    assert not list(job.directory.iterdir())


def test_the_base_stage_keeps_what_the_check_found_and_models_are_sampled_by_it(tmp_path):
    job = base_job(tmp_path, sharp(llama()), WORDS)
    found = base.run(job)["self_check"]
    assert found["sampling_gap"] < 1e-3 and not found["without_cache"]
    job.parents["base"] = job.directory
    assert cached(job.load_base())
    pointer = job.directory / POINTER
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"cached": False}))
    assert not cached(job.load_base())
