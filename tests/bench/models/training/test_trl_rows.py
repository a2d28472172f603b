"""Rows of ids in TRL's forms; that its trainers read them as they are is shown by `tests.encoding_table`."""

from datasets import Dataset

from bench.models.encoding import encode_pairs
from bench.models.tokenizers import bpe_tokenizer
from bench.models.training.trl_rows import contrasted_rows, labelled_rows, scored_rows, supervised_rows

BYTES = bpe_tokenizer(["the film was good"], 300)
PROMPTS = [f"{i} ?" for i in range(5)]
ANSWERS = [f" answer {i}" for i in range(5)]
PAIRS = Dataset.from_dict({"prompt": PROMPTS, "chosen": ANSWERS, "rejected": ANSWERS[::-1], "margin": [0.5] * 5})


def test_a_wrong_completion_for_kto_is_that_of_the_row_before_in_its_batch():
    rows = Dataset.from_dict({"prompt": PROMPTS, "completion": ANSWERS, "label": [True, False] * 2 + [True]})
    made = labelled_rows(BYTES, rows, batch_size=3)
    own = made["completion_ids"]
    assert list(made["KL_completion_ids"]) == [own[i] for i in (2, 0, 1, 4, 3)]
    assert list(zip(made["prompt_ids"], own, strict=True)) == encode_pairs(BYTES, PROMPTS, ANSWERS)
    assert list(made["label"]) == list(rows["label"])


def test_prompts_are_read_and_not_learned():
    pairs = encode_pairs(BYTES, PROMPTS, ANSWERS)
    whole = [[*before, *ids] for before, ids in pairs]
    learned = [[-100] * len(before) + ids for before, ids in pairs]
    supervised = supervised_rows(BYTES, PAIRS.rename_column("chosen", "completion"))
    assert (list(supervised["input_ids"]), list(supervised["labels"])) == (whole, learned)
    contrasted = contrasted_rows(BYTES, PAIRS)
    assert (list(contrasted["chosen_input_ids"]), list(contrasted["chosen_labels"])) == (whole, learned)
    assert list(contrasted["prompt_input_ids"]) == [before for before, _ in pairs]


def test_a_margin_goes_along_with_its_pair():
    assert scored_rows(BYTES, PAIRS).column_names == ["chosen_ids", "rejected_ids", "margin"]
