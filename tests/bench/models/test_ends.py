"""A completion ends where its template ends a turn, and sampling stops at everything that is declared to end one."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.contracts.errors import BenchError
from bench.models.encoding import decode_completions, encode, encode_prompt
from bench.models.ends import end_turns, stop_ids, turn_end
from bench.models.loading import load_model
from bench.models.sampling import ending_ids
from bench.models.tokenizers import load_tokenizer
from bench.workbench.policy import ModelPolicy
from tests.encoding_table.kinds import IN_TURN, KINDS, byte_bpe
from tests.encoding_table.users import Place

PROMPT = [{"role": "user", "content": "what is red ?"}]
GEMMA = KINDS["Gemma (no system turn)"]


@pytest.mark.parametrize(
    "template, end",
    [
        (IN_TURN.replace("START", "'<s>'").replace("MIDDLE", "':'").replace("END", "' </s>'"), "</s>"),
        (IN_TURN.replace("START", "''").replace("MIDDLE", "': '").replace("END", "eos_token"), "<eos>"),
        (IN_TURN.replace("START", "''").replace("MIDDLE", "': '").replace("END", r"'</s>\n<s>\n'"), "</s>"),
    ],
)
def test_the_end_of_a_turn_is_found_by_rendering_one(template, end):
    tokenizer = byte_bpe(("<pad>", "<eos>", "<unk>", "<s>", "</s>"), template)
    assert turn_end(tokenizer) == end
    assert end_turns(tokenizer).eos_token == end
    assert encode(tokenizer, PROMPT, "red")[1][-1] == tokenizer.convert_tokens_to_ids(end)


def test_a_template_whose_turns_do_not_end_is_refused_in_one_line():
    template = IN_TURN.replace("START", "'### '").replace("MIDDLE", r"': '").replace("END", r"'\n'")
    with pytest.raises(BenchError, match="does not end an assistant's turn: let '<eos>' follow its content") as refusal:
        end_turns(byte_bpe(template=template))
    assert "\n" not in str(refusal.value)


def test_all_that_a_model_declares_as_eos_ends_a_completion(tmp_path):
    GEMMA.make().save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 4, 17, 3]}))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 2}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.convert_ids_to_tokens(stop_ids(tokenizer)) == ["<eos>", "<start_of_turn>"]  # 17 is a byte, 3 <unk>
    end_turns(tokenizer).save_pretrained(tmp_path / "saved")
    stops = ["<end_of_turn>", "<start_of_turn>", "<eos>"]
    for each in (tokenizer, load_tokenizer(tmp_path / "saved")):
        assert each.convert_ids_to_tokens(stop_ids(each)) == stops


def test_sampling_stops_at_each_end_which_is_cut_from_the_text(tmp_path):
    place = Place(GEMMA, tmp_path)
    tokenizer = place.tokenizer
    model = load_model(tmp_path, tokenizer)
    assert ending_ids(model) == stop_ids(tokenizer) == [5, 1]
    model.save_pretrained(tmp_path / "again")
    assert ending_ids(load_model(tmp_path / "again")) == [5, 1]
    with torch.no_grad():
        model.lm_head.weight.zero_()  # every token is as likely
    samples = ModelPolicy(model, tokenizer, 120).sample([PROMPT] * 64, seed=0)
    lasts = [ids[-1] for ids in samples.completion_ids]
    assert set(lasts) >= {5, 1}
    assert samples.finished == [last in (5, 1) for last in lasts]
    for ids, completion in zip(samples.completion_ids, samples.completions, strict=True):
        assert not {5, 1} & set(ids[:-1])
        assert not completion[0]["content"].endswith(("<eos>", "<end_of_turn>"))


def test_an_end_that_also_pads_is_learned(tmp_path):
    place = Place(KINDS["ChatML, pad = EOS"], tmp_path)
    eos = place.tokenizer.eos_token_id
    config = LlamaConfig(vocab_size=300, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                         pad_token_id=eos, eos_token_id=eos)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    model = load_model(tmp_path, place.tokenizer)
    ids = torch.tensor([[eos, 10, 11]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert model.get_input_embeddings().weight.grad[eos].norm() > 0


def test_an_end_is_not_doubled_when_a_sample_is_encoded_again():
    tokenizer = GEMMA.load()
    before = encode_prompt(tokenizer, PROMPT)
    for end in (5, 1):
        said = [*tokenizer("blue", add_special_tokens=False)["input_ids"], end]
        (completion,) = decode_completions(tokenizer, [PROMPT], [before], [said])
        assert encode(tokenizer, PROMPT, completion) == (before, [*said[:-1], 5])
        assert encode(tokenizer, PROMPT, completion[0]["content"] + "<end_of_turn>")[1] == [*said[:-1], 5]
