"""An arm is called the best only where the seeds support it."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.tables.best import best_arms


def cells(measure="gold", status="ok", **arms):
    rows = [
        {"arm": arm, "seed": seed, "status": status, measure: value}
        for arm, values in arms.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_leader_alone_where_every_difference_excludes_zero():
    assert best_arms(cells(a=[1.0, 1.1, 1.2], b=[0.5, 0.61, 0.7], c=[0.1, 0.2, 0.31]), "gold") == ["a"]


def test_differences_are_paired_by_seed():
    # seeds differ far more than the arms, which differ in every seed
    paired = cells(a=[0.0, 5.0, 9.0], b=[-0.1, 4.89, 8.9])
    assert best_arms(paired, "gold") == ["a"]
    assert best_arms(paired.assign(seed=[0, 1, 2, 2, 0, 1]), "gold") == []


def test_what_cannot_be_told_from_the_leader_is_marked_too_unless_that_is_more_than_half():
    level = cells(a=[1.0, 1.1, 1.2], b=[1.1, 1.0, 1.15], c=[0.1, 0.2, 0.31], d=[0.0, 0.1, 0.2])
    assert best_arms(level, "gold") == ["a", "b"]
    assert best_arms(level[level["arm"] != "d"], "gold") == []


def test_an_arm_that_is_merely_noisy_is_not_marked():
    noisy = cells(a=[1.0, 1.1, 1.2], b=[0.5, 0.61, 0.7], c=[-50.0, 1.1, 40.0])
    assert best_arms(noisy, "gold") == ["a"]


@pytest.mark.parametrize("measure, best", [("perplexity_reference", "low"), ("ece_debiased", "near"), ("kl", None)])
def test_the_direction_is_the_measures_own(measure, best):
    found = best_arms(cells(measure, low=[-3.0, -3.1, -3.2], near=[-0.1, 0.1, 0.0], high=[2.0, 2.1, 2.2]), measure)
    assert found == ([best] if best else [])


def test_two_seeds_or_a_cell_that_did_not_end_well_say_nothing():
    assert best_arms(cells(a=[1.0, 1.1], b=[0.5, 0.6]), "gold") == []
    assert best_arms(cells(status="diverged", a=[1.0, 1.1, 1.2], b=[0.5, 0.61, 0.7]), "gold") == []
    assert best_arms(cells(a=[1.0, 1.1, np.nan], b=[0.5, 0.61, 0.7], c=[0.1, 0.2, 0.31]), "gold") == ["b"]
    assert best_arms(cells(a=[1.0, 1.1, 1.2]), "win_rate") == []
