"""The stages are one list, wherever they are named."""

from bench.contracts.stage_settings import METHOD_NEEDS, STAGES, Stages
from bench.matrix.reading import parse_matrix
from bench.stages.all_stages import RUN
from bench.stages.graph import stages_of


def test_the_table_has_every_stage_and_each_is_run_by_its_own_module():
    assert tuple(RUN) == STAGES
    assert {stage: run.__module__ for stage, run in RUN.items()} == {stage: f"bench.stages.{stage}" for stage in STAGES}


def test_what_a_matrix_may_set_and_what_a_method_may_need_are_stages():
    assert set(METHOD_NEEDS) < set(Stages.model_fields) < set(STAGES)


def test_each_stage_comes_after_those_it_builds_on():
    on_ratings = {"method": "best_of_n", "stages": {"reward_model": {"fit": "ratings"}}}
    matrix = parse_matrix({"tasks": ["strings"], "methods": {"ppo": {}, "by ratings": on_ratings}, "seeds": 1})
    kinds = set()
    for cell in matrix.cells():
        for stage in stages_of(cell, matrix, "cpu").values():
            kinds.add(stage.kind)
            assert all(STAGES.index(parent.kind) < STAGES.index(stage.kind) for parent in stage.parents.values())
    assert kinds == set(STAGES)
