"""`bench judge`: every question is asked once, in both orders, and what is not understood is counted."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.winrates.pairs import judged_pairs
from bench.contracts.errors import BenchError
from bench.contracts.judge import Judge
from bench.contracts.plugin import Field
from bench.judging.asking import Answers, both_ways, judge_run, make_judge
from bench.judging.judges.gold import Gold
from bench.judging.judges.reward_model import RewardModelJudge
from bench.records.loading import load_run
from bench.store.store import Store

ASKED: list[tuple[str, str, str]] = []


class Words(Judge):
    """More `good` wins; the first place counts for `bias` words; a text with `?` is beyond it."""

    immaterial = {"patience"}
    bias: float = Field(0.0, description="words that the first place is worth")
    patience: int = Field(1, description="changes nothing")

    def compare(self, prompts, first, second):
        """Remember what was asked."""
        ASKED.extend(zip(prompts, first, second, strict=True))
        gaps = [a.count("good") - b.count("good") + self.bias for a, b in zip(first, second, strict=True)]
        odd = ["?" in a + b for a, b in zip(first, second, strict=True)]
        return [math.nan if o else 1.0 if g > 0 else 0.0 if g < 0 else 0.5 for g, o in zip(gaps, odd, strict=True)]


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def write_run(folder, texts, gold=None, seeds=1):
    """A run of one sample per prompt; `texts` maps an arm to its completions."""
    names = []
    for seed in range(seeds):
        for i, (arm, completions) in enumerate(texts.items()):
            name = f"t-m-{arm}-seed{seed}"
            names.append(name)
            cell = folder / "cells" / name
            cell.mkdir(parents=True)
            identity = {"id": name, "index": i, "task": "t", "model": "m", "arm": arm, "method": arm, "seed": seed}
            record = {
                "schema": 1,
                "cell": identity,
                "status": "ok",
                "judge": "gold" if gold else "held-out reward model",
            }
            (cell / "record.json").write_text(json.dumps(record))
            count = len(completions)
            length = [float(len(text)) for text in completions]
            pd.DataFrame({
                "prompt_id": range(count), "sample": 0, "prompt": [f"prompt {k}" for k in range(count)],
                "completion": completions, "length": [len(text.split()) for text in completions],
                "proxy": [float(text.count("good")) for text in completions],
                "gold": gold[arm] if gold else math.nan, "judge": gold[arm] if gold else length,
            }).to_parquet(cell / "completions.parquet")  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"cells": names}))
    return folder


TEXTS = {
    "sft": [" good", " bad", " fine", " why ?"],
    "ppo": [" good good", " good", " fine", " good"],
    "dpo": [" bad", " bad", " fine", " good"],
}


def verdicts_of(rows):
    return {(r["first"], r["second"], r["prompt_id"]): r["verdict"] for r in rows.to_dict("records")}


def test_every_pair_is_judged_and_written_into_the_run(tmp_path, store):
    run = write_run(tmp_path / "run", TEXTS)
    judge_run(run, Words(), store)
    said = judged_pairs(load_run(run))
    assert said.judge == "words"
    found = verdicts_of(said.rows)
    assert len(found) == 3 * 4
    assert [found["sft", "ppo", i] for i in range(3)] == [0.0, 0.0, 0.5]
    assert np.isnan(found["sft", "ppo", 3])
    assert found["ppo", "dpo", 0] == 1.0
    assert found["ppo", "dpo", 3] == 0.5


def test_each_question_is_asked_in_both_orders_and_equal_texts_not_at_all(tmp_path, store):
    judge_run(write_run(tmp_path / "run", TEXTS), Words(), store)
    assert len(ASKED) == len(set(ASKED))
    assert {(p, b, a) for p, a, b in ASKED} == set(ASKED)
    assert all(first != second for _, first, second in ASKED)


def test_a_win_that_does_not_survive_the_swap_is_a_tie(tmp_path, store):
    rows = judge_run(write_run(tmp_path / "run", TEXTS), Words(bias=1.5), store).rows
    found = rows.set_index(["first", "second", "prompt_id"])
    close = found.loc[("sft", "ppo", 1)]
    assert (close["forward"], close["backward"], close["verdict"]) == (1.0, 0.0, 0.5)
    assert found.loc[("ppo", "dpo", 0), "verdict"] == 1.0  # ahead by two words


def test_two_answers_make_a_verdict_where_they_agree():
    forward = np.array([1, 0, 1, 0.5, 1, np.nan])
    backward = np.array([1, 0, 0, 0.5, 0.5, 1])
    assert both_ways(forward, backward).tolist()[:5] == [1, 0, 0.5, 0.5, 0.5]
    assert np.isnan(both_ways(forward, backward)[5])


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path, store):
    run = write_run(tmp_path / "run", TEXTS)
    first = judge_run(run, Words(), store).rows
    ASKED.clear()
    again = judge_run(run, Words(patience=9), store).rows
    assert ASKED == []
    pd.testing.assert_frame_equal(first, again)
    judge_run(run, Words(bias=1.5), store)
    assert ASKED  # another judge


def test_a_new_arm_asks_its_own_questions_alone(tmp_path, store):
    judge_run(write_run(tmp_path / "one", {name: TEXTS[name] for name in ("sft", "ppo")}), Words(), store)
    ASKED.clear()
    judge_run(write_run(tmp_path / "two", TEXTS), Words(), store)
    assert ASKED
    assert all(TEXTS["dpo"][int(prompt[-1])] in (first, second) for prompt, first, second in ASKED)


def test_answers_survive_a_judge_that_breaks_off_and_a_line_that_was_cut(tmp_path, store, monkeypatch):
    monkeypatch.setattr("bench.judging.asking.BATCH", 2)

    class Tired(Words):
        """Gives up at the third question."""

        def compare(self, prompts, first, second):
            if len(ASKED) >= 2:
                raise BenchError("the server is away")
            return super().compare(prompts, first, second)

    questions = [("p", f"good {i}", "bad") for i in range(6)]
    with pytest.raises(BenchError, match="away"):
        Answers(Tired(), store).ask(questions)
    answers = Answers(Tired(), store)
    answers.file.write_text(answers.file.read_text()[:-5])
    ASKED.clear()
    monkeypatch.setattr(Tired, "compare", Words.compare)
    assert Answers(Tired(), store).ask(questions) == [1.0] * 6
    assert len(ASKED) == 5
    ASKED.clear()
    assert Answers(Tired(), store).ask(questions) == [1.0] * 6
    assert ASKED == []


@pytest.mark.parametrize(("answers", "words"), [([1.0], "1 answers to 2"), ([1.0, 0.7], "answered 0.7")])
def test_a_judge_that_breaks_its_contract_is_told(store, answers, words):
    class Wrong(Words):
        """Answers as it likes."""

        def compare(self, prompts, first, second):
            return answers

    with pytest.raises(BenchError, match=words):
        Answers(Wrong(), store).ask([("p", "a", "b"), ("p", "a", "c")])


def test_gold_and_proxy_judge_by_what_the_run_stored(tmp_path, store):
    gold = {"sft": [0.1, 0.5, 0.0, 0.0], "ppo": [0.2, 0.1, 0.0, 0.05], "dpo": [0.0, 0.0, 0.0, 1.0]}
    run = write_run(tmp_path / "run", TEXTS, gold)
    found = verdicts_of(judge_run(run, Gold(), store).rows)
    assert [found["sft", "ppo", i] for i in range(4)] == [0.0, 1.0, 0.5, 0.0]
    found = verdicts_of(judge_run(run, Gold(tie_band=0.1), store).rows)
    assert [found["sft", "ppo", i] for i in range(4)] == [0.5, 1.0, 0.5, 0.5]
    found = verdicts_of(judge_run(run, RewardModelJudge(scored_by="proxy"), store).rows)
    assert [found["sft", "ppo", i] for i in range(4)] == [0.0, 0.0, 0.5, 0.0]
    with pytest.raises(BenchError, match="where gold is known no held-out reward model is trained"):
        judge_run(run, RewardModelJudge(), store)


def test_without_gold_the_held_out_reward_model_judges_and_gold_cannot(tmp_path, store):
    run = write_run(tmp_path / "run", TEXTS)
    found = verdicts_of(judge_run(run, RewardModelJudge(), store).rows)
    assert found["sft", "ppo", 0] == 0.0
    with pytest.raises(BenchError, match="no gold reward was stored"):
        judge_run(run, Gold(), store)


def test_a_score_that_is_no_number_is_unparsable_and_counted(tmp_path, store):
    run = write_run(tmp_path / "run", TEXTS, {"sft": [math.nan, math.inf, 1, 1], "ppo": [0.0] * 4, "dpo": [1.0] * 4})
    rows = judge_run(run, Gold(), store).rows
    assert rows["verdict"].isna().sum() == 4
    assert len(rows) == 12


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_classifier_in_a_folder_scores_whatever_number_of_outputs_it_has(tmp_path, store, outputs):
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification

    from bench.models.tokenizers import word_tokenizer

    tokenizer = word_tokenizer(["good", "bad", "fine", "prompt", "why", "?", *"0123"])
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=8, n_embd=8, n_layer=1, n_head=2, num_labels=outputs,
                        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)  # fmt: skip
    model = GPT2ForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "classifier")
    tokenizer.save_pretrained(tmp_path / "classifier")
    judge = RewardModelJudge(path=tmp_path / "classifier")
    texts = [" good", " bad bad", " good" * 9]
    scores = judge.scores(pd.DataFrame({"prompt": ["prompt 0"] * 3, "completion": texts}))
    for text, score in zip(texts[:2], scores, strict=False):
        ids = torch.tensor([[*tokenizer("prompt 0" + text)["input_ids"], tokenizer.eos_token_id]])
        logits = model(input_ids=ids).logits[0].tolist()
        assert score == pytest.approx(logits[0] if outputs == 1 else logits[1] - logits[0], abs=1e-5)
    assert math.isnan(scores[2])  # longer than the classifier reads
    expected = [1.0 if scores[0] > scores[1] else 0.0]
    assert judge.compare(["prompt 0"], [" good"], [" bad bad"]) == expected


def test_a_conversation_can_be_judged(tmp_path, store):
    run = write_run(tmp_path / "run", {name: TEXTS[name] for name in ("sft", "ppo")})
    for file in run.glob("cells/*/completions.parquet"):
        frame = pd.read_parquet(file)
        frame["prompt"] = [[{"role": "user", "content": text}] for text in frame["prompt"]]
        frame["completion"] = [[{"role": "assistant", "content": text}] for text in frame["completion"]]
        frame.to_parquet(file)

    class Chatty(Words):
        """Judges conversations."""

        def compare(self, prompts, first, second):
            assert isinstance(prompts[0], list)
            texts = ([each[0]["content"] for each in side] for side in (first, second))
            return super().compare([p[0]["content"] for p in prompts], *texts)

    assert verdicts_of(judge_run(run, Chatty(), store).rows)["sft", "ppo", 0] == 0.0


def test_a_single_arm_has_nobody_to_meet(tmp_path, store):
    with pytest.raises(BenchError, match="nothing to compare: no two arms"):
        judge_run(write_run(tmp_path / "run", {"sft": TEXTS["sft"]}), Words(), store)


def test_a_run_without_completions_has_nothing_to_compare(tmp_path, store):
    run = write_run(tmp_path / "run", TEXTS)
    for file in run.glob("cells/*/completions.parquet"):
        file.unlink()
    with pytest.raises(BenchError, match="nothing to compare: the run has no completions"):
        judge_run(run, Words(), store)


def test_settings_are_read_as_yaml_and_mistakes_named(tmp_path):
    judge = make_judge("chat", ["url=http://localhost:1/v1", "model=m", "retries=2", "timeout=3"])
    assert (judge.url, judge.retries, judge.timeout) == ("http://localhost:1/v1", 2, 3.0)
    for settings, words in (
        (["modell=m"], "did you mean 'model'"),
        (["url=ftp://x", "model=m"], "url: 'ftp://x' must match"),
        (["model"], "is not KEY=VALUE"),
        (["model=a", "model=b"], "is there twice"),
        (["model=a"], "needs the setting 'url'"),
    ):
        with pytest.raises(BenchError, match=words):
            make_judge("chat", settings)
    with pytest.raises(BenchError, match="did you mean 'gold'"):
        make_judge("golt")


PLUGIN = '''
from bench import Judge


class Shorter(Judge):
    """The shorter one is better."""

    def compare(self, prompts, first, second):
        """By characters."""
        return [0.5 if len(a) == len(b) else float(len(a) < len(b)) for a, b in zip(first, second)]
'''


def test_a_judge_from_a_plug_in_file_judges_at_the_command_line(tmp_path):
    (tmp_path / "shorter.py").write_text(PLUGIN)
    run = write_run(tmp_path / "run", TEXTS, seeds=2)
    command = [sys.executable, "-m", "bench.cli", "judge", str(run), "--judge", "shorter"]
    command += ["--plugin", str(tmp_path / "shorter.py"), "--store", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert "Judge: shorter." in done.stdout
    assert "Asked in both orders" in done.stdout
    assert (run / "comparisons.parquet").exists()
