"""Policy gradients for language models: one trainer, whose ingredients are settings.

`method.PolicyGradient` declares them all; `ppo`, `ppo_max`, `ppo_penalty`, `vpg`, `a2c`, `trpo` and `natural_gradient`
are choices among them, a file each beside this folder. `trainer.PolicyGradientTrainer` is a transformers Trainer for
any reward that can be called on texts, and needs nothing of the bench's stages.
"""
