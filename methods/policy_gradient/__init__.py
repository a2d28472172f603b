"""Policy gradients for language models: one trainer, whose ingredients are settings.

`method.PolicyGradient` declares them all; `ppo`, `ppo_max`, `ppo_penalty`, `vpg`, `a2c`, `trpo` and `natural_gradient`
are choices among them, a file each beside this folder. `trainer.PolicyGradientTrainer` is a transformers Trainer for
any reward that can be called on texts, and needs nothing of the bench's stages.

One batch of completions, from top to bottom (formulae and papers in each function's docstring):

1. roll out    `acting.Actor.roll_out`: prompts in turn, completions sampled from π_old, their log-probabilities
2. score       `acting.Actor._score`, `rewards.standardise`, `rewards.terminal_rewards` or `dense_rewards`
3. KL          `rewards.penalised`: less β log π_old/π0 per token, or with the score; `constraint.adapted_kl_weight`
4. advantages  `advantages.gae` with a critic, `advantages.baseline` without; `advantages.whiten`
5. loss        `trainer.PolicyGradientTrainer.compute_loss`, per mini-batch: `losses.policy_loss` (clipped surrogate),
               `losses.value_loss`, `constraint.token_kl` or `sequence_kl_loss`, `constraint.entropy`, ptx
6. update      the Trainer's optimiser, `epochs × minibatches` times; `trust_region.TrustRegion` for TRPO and natural
               gradient; then the next batch

`rollout.Rollouts` is what 1 to 4 hand to 5, `actor_critic.ActorCritic` the model of both.
"""
