"""When two trainings that must agree do agree: in every weight, and in how far they went."""

from collections.abc import Mapping

import torch
from torch import Tensor


def assert_same_training(
    one: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    *,
    atol: float,
    rtol: float = 0.0,
    drift: float = 1e-5,
) -> None:
    """Trained weights `one` and `other` are equal up to rounding, and so is the way from `start` to them.

    Rounding errs to either side and cancels; a batch that is weighed wrongly does not. So the deviation is also
    projected onto the way: ⟨other − one, one − start⟩ / ‖one − start‖², the relative error of the step's length, which
    is at most `drift` however small each single deviation is.
    """
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            other[name], one[name], atol=atol, rtol=rtol, msg=lambda text, name=name: f"{name}: {text}"
        )
    way, deviation = (
        torch.cat([(a[name].double() - b[name].double()).flatten() for name in one])
        for a, b in ((one, start), (other, one))
    )
    assert way.norm() > 0, "nothing was trained"
    error = float(deviation @ way / (way @ way))
    assert abs(error) <= drift, f"one training went {error:.1e} further than the other"
