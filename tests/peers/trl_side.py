"""TRL 1.12.0's PPO on one job: ``python trl_side.py JOB.json``, in a virtual environment of its own."""

from __future__ import annotations

import gc
import os
from types import SimpleNamespace

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from common import Job, Pacer, finish, load_prompts, load_tokenizer, read_job
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer


def load_policy(job: Job, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A fresh π0, with no generation defaults of its own."""
    model = AutoModelForCausalLM.from_pretrained(job.policy, dtype=torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    return model


def load_classifier(job: Job, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A fresh copy of the reward model."""
    model = AutoModelForSequenceClassification.from_pretrained(job.reward_model, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def set_collection(line: str) -> None:
    """Take away, or give back, the trainer's two calls of `gc.collect` per step."""
    ppo_trainer.gc = SimpleNamespace(collect=lambda: 0) if line == "no gc" else gc


def main() -> None:
    """Train; write the policy and the log."""
    job = read_job()
    tokenizer = load_tokenizer(job)
    trainer = PPOTrainer(
        args=PPOConfig(
            output_dir=job.out,
            seed=job.seed,
            use_cpu=job.device == "cpu",
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            logging_steps=1,
            num_sample_generations=0,
            dataloader_pin_memory=False,
            total_episodes=job.steps * job.rollouts,
            per_device_train_batch_size=job.rollouts,
            gradient_accumulation_steps=1,
            num_mini_batches=job.minibatches,
            num_ppo_epochs=job.epochs,
            local_rollout_forward_batch_size=job.rollouts,
            response_length=job.completion_tokens,
            stop_token="eos",
            temperature=job.temperature,
            learning_rate=job.learning_rate,
            lr_scheduler_type=job.schedule,
            optim=job.optimizer,
            kl_coef=job.kl_weight,
            kl_estimator="k1",
            whiten_rewards=False,
            missing_eos_penalty=None,
            cliprange=job.clip_range,
            cliprange_value=job.value_clip_range,
            vf_coef=job.value_weight,
            gamma=job.gamma,
            lam=job.gae_lambda,
        ),
        processing_class=tokenizer,
        model=load_policy(job, tokenizer),
        ref_model=load_policy(job, tokenizer),
        reward_model=load_classifier(job, tokenizer),
        value_model=load_classifier(job, tokenizer),
        train_dataset=Dataset.from_dict({"input_ids": tokenizer(load_prompts(job))["input_ids"]}),
        callbacks=[Pacer(1, set_collection)] if job.paced else [],
    )
    trainer.train()
    if not job.paced:
        log = [
            {"step": step, "reward": row["objective/scores"], "kl": row["objective/kl"]}
            for step, row in enumerate((r for r in trainer.state.log_history if "objective/kl" in r), 1)
        ]
        finish(job, trainer.model.policy, log)


if __name__ == "__main__":
    main()
