"""This project's PPO on one job: ``python ours_side.py JOB.json``."""

from __future__ import annotations

from common import Pacer, finish, load_prompts, load_tokenizer, read_job
from datasets import Dataset

from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier, load_model
from methods.policy_gradient.config import PolicyGradientConfig
from methods.policy_gradient.trainer import PolicyGradientTrainer


def main() -> None:
    """Train; write the policy and the log."""
    job = read_job()
    tokenizer = load_tokenizer(job)
    updates = job.epochs * job.minibatches
    policy = load_model(job.policy, tokenizer)
    trainer = PolicyGradientTrainer(
        model=policy,
        reward=RewardModel(load_classifier(job.reward_model, tokenizer).to(job.device), tokenizer),
        args=PolicyGradientConfig(
            output_dir=job.out,
            seed=job.seed,
            use_cpu=job.device == "cpu",
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_steps=updates,
            dataloader_pin_memory=False,
            max_steps=job.steps * updates,
            per_device_train_batch_size=job.rollouts // job.minibatches,
            num_mini_batches=job.minibatches,
            num_ppo_epochs=job.epochs,
            max_completion_length=job.completion_tokens,
            temperature=job.temperature,
            learning_rate=job.learning_rate,
            lr_scheduler_type=job.schedule,
            optim=job.optimizer,
            max_grad_norm=0.0,  # TRL's loop does not clip gradients
            kl_weight=job.kl_weight,
            missing_eos_penalty=0.0,
            normalise_advantages=True,
            clip_range=job.clip_range,
            value_clip_range=job.value_clip_range,
            value_weight=job.value_weight,
            gamma=job.gamma,
            gae_lambda=job.gae_lambda,
        ),
        train_dataset=Dataset.from_dict({"prompt": load_prompts(job)}),
        processing_class=tokenizer,
        ref_model=load_model(job.policy, tokenizer),
        critic=load_classifier(job.reward_model, tokenizer),
        callbacks=[Pacer(updates)] if job.paced else [],
    )
    trainer.train()
    if not job.paced:
        rows = [row for row in trainer.state.log_history if "reward" in row]
        log = [{"step": step, "reward": row["reward"], "kl": row["kl"]} for step, row in enumerate(rows, 1)]
        finish(job, policy, log)


if __name__ == "__main__":
    main()
