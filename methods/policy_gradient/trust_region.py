"""The natural gradient and TRPO's step, as an optimiser.

Amari 1998 and Kakade 2001 for the natural gradient; Schulman et al. 2015, "Trust Region Policy Optimization"
(arXiv:1502.05477), section 6 and appendix C, for conjugate gradients and the line search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

BACKTRACKS, SHRINK = 10, 0.5  # the line search tries the full step, half of it, a quarter, …


class Region(NamedTuple):
    """What the optimiser may ask about the batch whose gradient it is given.

    fisher: the product of the Fisher matrix of the policy with a flat vector.
    surrogate_and_kl: (surrogate loss, mean KL(π_old ‖ π) in nats per token) at the parameters as they are.
    """

    fisher: Callable[[Tensor], Tensor]
    surrogate_and_kl: Callable[[], tuple[float, float]]


class Step(NamedTuple):
    """What became of a step: the share of the full step that was taken (0: none), and the KL after it (nats)."""

    share: float
    kl: float


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
    """x with A x = b for a positive definite A that is known by its products alone (Hestenes and Stiefel 1952)."""
    x, residual = torch.zeros_like(target), target.clone()
    direction, size = residual.clone(), residual @ residual
    for _ in range(iterations):
        if size <= 1e-10 * (target @ target):
            break
        image = product(direction)
        length = size / (direction @ image)
        x, residual = x + length * direction, residual - length * image
        size, before = residual @ residual, size
        direction = residual + size / before * direction
    return x


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """All elements in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


class TrustRegion(torch.optim.AdamW):
    """Steps along the natural gradient F⁻¹ g for the policy's parameters, and by AdamW for all others.

    Without `max_kl` the step has the length of the learning rate, as in gradient descent. With it the step is TRPO's:
    as long as KL(π_old ‖ π) ≤ δ allows, by its quadratic model, then halved until the surrogate has become better and
    the true mean KL keeps within δ; if ten halvings do not do, the parameters stay as they were.

    Args:
        policy: the policy's parameters.
        others: AdamW's parameter groups for the rest (the critic); may be empty.
        lr: the natural gradient's learning rate; TRPO needs none.
        damping: λ in (F + λ I) x = g.
    """

    def __init__(
        self,
        policy: Iterable[torch.nn.Parameter],
        others: list[dict[str, Any]],
        lr: float,
        max_kl: float | None,
        iterations: int,
        damping: float,
    ) -> None:
        self.policy = list(policy)
        super().__init__([{"params": self.policy, "lr": lr}, *others], weight_decay=0.0)
        self.max_kl, self.iterations, self.damping = max_kl, iterations, damping
        self.region: Region | None = None
        self.last: Step | None = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; the policy moves only if there is a `region`, which is used up."""
        if self.region is not None:
            gradient = flat(p.grad if p.grad is not None else torch.zeros_like(p) for p in self.policy)
            self.last = self._move(self.region, gradient)
            self.region = None
        for parameter in self.policy:
            parameter.grad = None  # what is left is AdamW's
        super().step(closure)

    def _move(self, region: Region, gradient: Tensor) -> Step:
        if not bool(gradient.isfinite().all()):
            self._set(flat(self.policy) * torch.nan)  # so that the run ends as diverged
            return Step(0.0, float("nan"))
        if not bool(gradient.any()):
            return Step(0.0, 0.0)
        direction = conjugate_gradient(lambda v: region.fisher(v) + self.damping * v, gradient, self.iterations)
        start = flat(self.policy)
        if self.max_kl is None:
            self._set(start - self.param_groups[0]["lr"] * direction)
            return Step(1.0, region.surrogate_and_kl()[1])
        curvature = direction @ region.fisher(direction) + self.damping * direction @ direction
        full = (2 * self.max_kl / curvature).sqrt() * direction
        old_loss, _ = region.surrogate_and_kl()
        for halvings in range(BACKTRACKS):
            share = SHRINK**halvings
            self._set(start - share * full)
            loss, kl = region.surrogate_and_kl()
            if loss < old_loss and kl <= self.max_kl:
                return Step(share, kl)
        self._set(start)
        return Step(0.0, 0.0)

    def _set(self, vector: Tensor) -> None:
        place = 0
        for parameter in self.policy:
            parameter.copy_(vector[place : place + parameter.numel()].view_as(parameter))
            place += parameter.numel()
