"""`lima`: supervised fine-tuning on a small curated set (Zhou et al. 2023, "LIMA: Less Is More for Alignment")."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from bench import BenchError, Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from datasets import Dataset


class LIMA(Method):
    """SFT of the base model on the best few demonstrations, and nothing else.

    Curation is the point, so it has its controls: as many demonstrations taken at random, or the worst ones.
    Where demonstrations carry no `quality` grade, a random few are taken: size without curation.
    """

    search_space: ClassVar[SearchSpace] = {
        "epochs": Range(1, 10, step=1),
        "learning_rate": Range(1e-4, 1e-2, log=True),
    }

    size: int = Field(600, ge=1, description="demonstrations to keep")
    curate: Literal["best", "random", "worst"] = Field("best", description="which demonstrations are kept")
    quality: float | None = Field(
        None, ge=-1e6, le=1e6, description="least quality a demonstration must have; none by default"
    )
    epochs: float = Field(4, gt=0, description="passes over the curated set")
    batch_size: int = Field(32, ge=1, description="demonstrations per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Curate, then fine-tune from the base model."""
        model = workbench.base_model()
        workbench.fine_tune(
            model,
            self.curated(workbench),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
        return workbench.policy(model)

    def curated(self, workbench: Workbench) -> Dataset:
        """The `size` demonstrations that `curate` names, of those of at least `quality`."""
        rows = workbench.demonstrations
        if "quality" not in rows.column_names:
            if self.quality is not None:
                raise BenchError(f"lima.quality = {self.quality}: these demonstrations carry no `quality` column")
            if self.curate == "worst":
                raise BenchError("lima.curate = worst: these demonstrations carry no `quality` column")
            rows = rows.shuffle(seed=workbench.seed)
        else:
            grades = rows["quality"]
            order = sorted(range(len(rows)), key=lambda i: -grades[i])
            good = [i for i in order if self.quality is None or grades[i] >= self.quality]
            if not good:
                best = grades[order[0]]
                raise BenchError(f"lima.quality = {self.quality}: the best demonstration has only {best:.3g}")
            rows = rows.select(good[::-1] if self.curate == "worst" else good)
            if self.curate == "random":
                rows = rows.shuffle(seed=workbench.seed)
        return rows.select(range(min(self.size, len(rows))))
