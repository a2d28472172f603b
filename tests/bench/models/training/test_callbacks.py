import math

import pytest
import torch
from transformers import Trainer, TrainingArguments

from bench.contracts.errors import Diverged
from bench.models.training.callbacks import FiniteCallback, measured_steps, training_arguments


class Line(torch.nn.Module):
    """One weight; its loss is scaled by the batch, so that bad data makes a bad step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        """Linear loss."""
        return {"loss": (self.weight * x).mean()}


class Shifted(Line):
    """The batch moves the loss and not its gradient."""

    def forward(self, x):
        """Weight plus data."""
        return {"loss": self.weight.sum() + x.mean()}


def train(tmp_path, values, model=None):
    trainer = Trainer(
        model or Line(),
        TrainingArguments(
            **training_arguments(tmp_path, 0, "cpu") | {"logging_steps": 1},
            per_device_train_batch_size=1,
            max_steps=len(values),
            learning_rate=0.1,
        ),
        train_dataset=[{"x": torch.tensor(value)} for value in values],
        callbacks=[FiniteCallback()],
    )
    trainer.get_train_dataloader = lambda: torch.utils.data.DataLoader(trainer.train_dataset, batch_size=1)
    trainer.train()
    return trainer


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_step_that_is_not_finite_ends_training_with_its_number(tmp_path, bad):
    with pytest.raises(Diverged) as caught:
        train(tmp_path, [1.0, 1.0, bad, 1.0])
    assert caught.value.step == 3
    assert "weight" in caught.value.what


def test_a_loss_that_is_not_finite_is_seen_also_where_parameters_stay_finite(tmp_path):
    with pytest.raises(Diverged) as caught:
        train(tmp_path, [1.0, math.inf], Shifted())
    assert caught.value.what == "loss"


def test_a_finite_training_is_left_alone_and_makes_no_checkpoints(tmp_path):
    trainer = train(tmp_path, [1.0, 2.0, 3.0])
    assert trainer.state.global_step == 3
    assert not list(tmp_path.glob("checkpoint*"))


def test_curves_are_measured_at_halving_steps_and_at_the_end():
    assert measured_steps(240, 4) == {30, 60, 120, 240}
    assert measured_steps(3, 8) == {1, 2, 3}
    assert measured_steps(100, 0) == set()
