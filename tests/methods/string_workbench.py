"""A workbench on `strings` with untrained models, for the tests of methods."""

from __future__ import annotations

import copy

import torch
from datasets import Dataset
from transformers import GPT2ForSequenceClassification

from bench.contracts.stage_settings import TinyModel
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.workbench.workbench import Workbench
from tasks.strings import Strings

TASK = Strings(noise=0)
TOKENIZER = word_tokenizer(TASK.vocabulary())


class Uneven(Strings):
    """Strings whose training prompts differ in length."""

    def prompts(self, split):
        """One to four symbols."""
        return Dataset.from_dict({"prompt": ["a", "b c", "d e f", "g h i j", "k l", "m", "n o p", "a c"]})


def model(tokenizer=TOKENIZER, seed=0):
    return tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, seed)


def reward_module(tokenizer=TOKENIZER):
    config = copy.deepcopy(model(tokenizer).config)
    config.num_labels = 1
    torch.manual_seed(1)
    module = GPT2ForSequenceClassification(config)
    torch.nn.init.normal_(module.score.weight)
    return module


def pad_is_eos():
    """A tokenizer that pads with EOS; the ids of all symbols are the same."""
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def pairs():
    """The 64 best demonstrations preferred to the 64 worst, each after the better one's prompt."""
    rows = TASK.demonstrations(0).sort("quality")
    worst, best = rows.select(range(64)), rows.select(range(len(rows) - 64, len(rows)))
    return Dataset.from_dict({"prompt": best["prompt"], "chosen": best["completion"], "rejected": worst["completion"]})


def ratings(count=256, per_prompt=4):
    """Demonstrations put behind the prompts of others, four to a prompt, and rated without noise."""
    rows = TASK.demonstrations(0).select(range(count))
    prompts = [rows["prompt"][i - i % per_prompt] for i in range(count)]
    completions = list(rows["completion"])
    scores = TASK.ratings(prompts, completions, 0)
    columns = {"prompt": prompts, "completion": completions, "rater": [0] * count}
    return Dataset.from_dict(columns | {"score": [each.score for each in scores]})


def string_workbench(directory, tokenizer=TOKENIZER, **fields) -> Workbench:
    settings = dict(
        task=TASK,
        tokenizer=tokenizer,
        seed=0,
        device="cpu",
        checkpoints=directory,
        load_base=lambda: model(tokenizer),
        load_sft=lambda: model(tokenizer),
        load_demonstrations=lambda: TASK.demonstrations(0),
        load_preferences=pairs,
        load_ratings=ratings,
        load_reward_model=lambda: reward_module(tokenizer),
        curve_points=0,
    )
    return Workbench(**settings | fields)


def same(first, second) -> bool:
    return all(torch.equal(first.state_dict()[name], tensor) for name, tensor in second.state_dict().items())


def logged(method, place) -> list[dict[str, float]]:
    """What the trainer logs at each step of `method`."""
    entries: list[dict[str, float]] = []
    place.on_log = lambda step, figures: entries.append(figures)
    arguments = place.training_arguments()
    place.training_arguments = lambda: arguments | {"logging_steps": 1}
    method.train(place)
    return entries


def sequence_logps(model, prompts, completions, tokenizer=TOKENIZER):
    """Log-probabilities of whole completions and their numbers of tokens, EOS included: computed one by one."""
    from bench.models.encoding import encode

    sums, lengths = [], []
    for prompt, completion in zip(prompts, completions, strict=True):
        head, tail = encode(tokenizer, prompt, completion)
        with torch.no_grad():
            logprobs = model(torch.tensor([[*head, *tail]])).logits[0].log_softmax(-1)
        sums.append(sum(logprobs[len(head) - 1 + i, token] for i, token in enumerate(tail)))
        lengths.append(len(tail))
    return torch.stack(sums), torch.tensor(lengths)
