"""A kind of test that a file may name is one that can be computed."""

from bench.analysis.claims.kinds import KINDS
from bench.records import claims


def test_every_kind_that_a_file_of_claims_may_name_can_be_computed():
    assert set(KINDS) == set(claims.KINDS)
