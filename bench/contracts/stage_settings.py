"""The stages of a cell; and the settings of models, shared stages and the evaluation, as a matrix file may set them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.contracts.plugin import Settings

STAGES = ("base", "sft", "preferences", "ratings", "reward_model", "reference", "policy", "evaluation")
"""All stages that a cell may have, each after those it builds on; `bench.stages` has a module for each."""

METHOD_NEEDS = ("preferences", "ratings", "reward_model")
"""The stages that a method may name in `needs`. The base and the SFT model exist for every cell."""


class TinyModel(Settings):
    """A GPT-2 pre-trained from scratch on the task's own text by the `base` stage."""

    layers: int = Field(2, ge=1, le=48, description="transformer blocks")
    width: int = Field(64, ge=8, le=4096, description="embedding width; a multiple of `heads`")
    heads: int = Field(4, ge=1, le=64, description="attention heads")
    context: int = Field(256, ge=8, le=8192, description="longest sequence in tokens")
    vocabulary: int = Field(
        1000, ge=260, le=100_000, description="tokens of the byte-level BPE, where the task has no word list"
    )
    initializer_range: float = Field(
        0.08, gt=0, le=1, description="standard deviation of initial weights; narrow models never learn to copy at 0.02"
    )
    steps: int = Field(600, ge=1, description="optimiser steps of pre-training")
    batch_size: int = Field(32, ge=1, description="sequences per step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="peak of a cosine schedule (AdamW)")

    @model_validator(mode="after")
    def _whole_heads(self) -> TinyModel:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class SFTStage(Settings):
    """Supervised fine-tuning of the base model on all demonstrations: gives the reference π0."""

    epochs: float = Field(2, gt=0, description="passes over the demonstrations")
    batch_size: int = Field(32, ge=1, description="demonstrations per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")
    max_demonstrations: int | None = Field(None, ge=1, description="use at most so many demonstrations")


class PreferencesStage(Settings):
    """Preference pairs: the data set's own, or sampled from π0 and compared by the task's annotator."""

    pairs: int = Field(2000, ge=1, description="training pairs to collect (or to use, of a data set's own)")
    heldout: int = Field(500, ge=1, description="further pairs to test the reward model on")


class RatingsStage(Settings):
    """Samples of π0, each rated once by the task's annotator; made where a method or a reward model needs them."""

    ratings: int = Field(2000, ge=1, description="completions to have rated, each 1 to 5")
    per_prompt: int = Field(4, ge=1, description="completions of one prompt, as often as it comes round")
    heldout: int = Field(500, ge=1, description="further ratings, to test on")


class RewardModelStage(Settings):
    """The learned reward: by default Bradley–Terry on the training pairs, trained from the SFT model."""

    fit: Literal["pairs", "ratings"] = Field(
        "pairs", description="what it is fitted on: Bradley–Terry on pairs, or least squares on pooled 1–5 ratings"
    )
    start: Literal["sft", "base", "scratch"] = Field("sft", description="the model that it is trained from")
    margin: float = Field(
        0.0, ge=0, description="by how much a pair's scores are to differ for each grade above the lowest (Llama 2)"
    )
    lm_weight: float = Field(
        0.0, ge=0, description="weight of the language-model loss on the chosen completions, per token"
    )
    members: int = Field(1, ge=1, le=64, description="models in the ensemble, each with a seed of its own")
    aggregate: Literal["mean", "min"] = Field(
        "mean", description="an ensemble's score: the mean of its members', or the least (worst case)"
    )
    seed: int = Field(
        0, ge=0, le=1_000_000, description="another number, another reward model from the same labels (head and order)"
    )
    epochs: float = Field(2, gt=0, description="passes over the pairs or ratings")
    batch_size: int = Field(32, ge=1, description="pairs or ratings per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    @property
    def made_of(self) -> str:
        """The stage whose labels it is fitted on."""
        return "preferences" if self.fit == "pairs" else "ratings"

    @model_validator(mode="after")
    def _only_pairs(self) -> RewardModelStage:
        for name in ("margin", "lm_weight"):
            if self.fit == "ratings" and getattr(self, name):
                raise ValueError(f"`{name}` goes with `fit: pairs`")
        return self


class Stages(Settings):
    """Settings of the stages that cells share."""

    sft: SFTStage = SFTStage()
    preferences: PreferencesStage = PreferencesStage()
    ratings: RatingsStage = RatingsStage()
    reward_model: RewardModelStage = RewardModelStage()


class Evaluation(Settings):
    """How every policy is measured: once it is trained, and every so often while it trains."""

    prompts: int = Field(128, ge=1, description="held-out prompts, the same for every cell")
    samples: int = Field(4, ge=1, description="completions per prompt")
    temperature: float = Field(1.0, gt=0, le=10, description="sampling temperature; 1 measures the policy itself")
    references: int = Field(256, ge=1, description="held-out reference texts for the perplexity")
    probes: int = Field(10_000, ge=1, description="multiple-choice questions, at most")
    tie_band: float = Field(0.0, ge=0, description="judge scores no further apart than this are a tie")
    curve_points: int = Field(8, ge=0, description="measurements while a method trains, beside the first")
    curve_prompts: int = Field(64, ge=1, description="held-out prompts of each such measurement")
