"""`reward_model`: a reward model of the run, or any sequence classifier, as the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.contracts.errors import BenchError
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Prompt
from bench.judging.scoring_judge import ScoringJudge, require_texts
from bench.models.encoding import encode_for_classifier

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64


class RewardModelJudge(ScoringJudge):
    """A reward model: the run's own, by the scores it stored, or a sequence classifier in a folder."""

    name: ClassVar[str] = "reward_model"

    scored_by: Literal["held-out", "proxy"] = Field(
        "held-out",
        description="which of the run's reward models: `held-out` has seen no policy's pairs, `proxy` trained them",
    )
    path: Path | None = Field(
        None,
        description="instead, a sequence classifier in transformers' format: one output, the reward, or two, of which "
        "the second less the first is the reward",
    )

    def scores(self, completions: pd.DataFrame) -> Sequence[float]:
        """Stored scores, or the classifier's."""
        if self.path is not None:
            require_texts(completions)
            return _classify(self.path, completions["prompt"].tolist(), completions["completion"].tolist())
        if self.scored_by == "held-out" and "gold" in completions and completions["gold"].notna().any():
            raise BenchError(
                "judge 'reward_model': where gold is known no held-out reward model is trained; "
                "use the judge 'gold', or set scored_by=proxy or path=FOLDER"
            )
        column = "proxy" if self.scored_by == "proxy" else "judge"
        if column not in completions or completions[column].isna().all():
            raise BenchError(f"judge 'reward_model': the run stored no scores of a {self.scored_by} reward model")
        return completions[column].tolist()


def _classify(path: Path, prompts: list[Prompt], completions: list[Completion]) -> list[float]:
    """The classifier's score of each text; NaN where one is longer than the classifier reads."""
    import torch

    from bench.models.loading import context_length, load_judge
    from bench.models.memory import blocks, state_bytes
    from bench.models.padding import pad_right
    from bench.models.tokenizers import load_tokenizer

    try:
        tokenizer = load_tokenizer(path)
        model = load_judge(path)
    except (OSError, ValueError) as error:
        raise BenchError(f"judge 'reward_model': no sequence classifier in {path}: {error}") from None
    if model.config.num_labels > 2:
        raise BenchError(f"judge 'reward_model': {path} has {model.config.num_labels} outputs; a judge has one or two")
    model.eval()
    pad = tokenizer.pad_token_id or 0
    model.config.pad_token_id = pad
    longest = min(context_length(model), tokenizer.model_max_length)
    rows = encode_for_classifier(tokenizer, prompts, completions)
    scores = [float("nan")] * len(rows)
    # of like length together: less padding
    order = sorted((i for i, row in enumerate(rows) if len(row) <= longest), key=lambda i: len(rows[i]))
    with torch.no_grad():
        for block in blocks([(len(rows[i]) * state_bytes(model),) for i in order], BATCH):
            batch = order[block]
            ids, mask = pad_right([rows[i] for i in batch], pad)
            logits = model(input_ids=ids, attention_mask=mask).logits.double()
            reward = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
            for i, score in zip(batch, reward.tolist(), strict=True):
                scores[i] = score
    return scores
