import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesgmm.data.observations import as_observations
from bayesgmm.data.survey import score_variance, survey_design
from bayesgmm.data.tables import DataError

ROWS = as_observations(np.random.default_rng(0).normal(size=(60, 2)))


def variance(z, clusters=None, strata=None, block=7):
    design = survey_design(as_observations(z[:, :1]), clusters, strata)
    blocks = ((np.arange(n, min(n + block, len(z))), z[n : n + block]) for n in range(0, len(z), block))
    return score_variance(blocks, design, z.shape[1]), design


def from_the_definition(z, clusters, strata):
    B = np.zeros((z.shape[1], z.shape[1]))
    for h in set(strata):
        names = sorted({c for c, s in zip(clusters, strata, strict=True) if s == h})
        totals = np.array([sum(z[n] for n in range(len(z)) if strata[n] == h and clusters[n] == c) for c in names])
        B += len(names) * np.atleast_2d(np.cov(totals.T))
    return B


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_it_is_the_sum_over_strata_of_the_covariance_of_cluster_totals(seed, H, named):
    rng = np.random.default_rng(seed)
    N = 50
    strata = rng.integers(H, size=N)
    clusters = rng.integers(4, size=N)
    clusters[: 2 * H], strata[: 2 * H] = np.tile([0, 1], H), np.repeat(np.arange(H), 2)  # at least two in each
    z = rng.normal(size=(N, 3)) + 5.0
    names = np.array(["north", "south", "east", "west"])
    found, design = variance(z, names[clusters] if named else clusters, strata)
    np.testing.assert_allclose(found.variance, from_the_definition(z, clusters, strata), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.total, z.sum(axis=0))
    assert design.degrees_of_freedom == len(set(zip(clusters, strata, strict=True))) - len(set(strata))


def test_without_clusters_each_row_is_one(rng):
    z, strata = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20)
    np.testing.assert_allclose(variance(z)[0].variance, 60 * np.cov(z.T))
    np.testing.assert_allclose(
        variance(z, strata=strata)[0].variance, variance(z, np.arange(60), strata)[0].variance, rtol=1e-12
    )


def test_what_is_no_design_is_refused():
    with pytest.raises(DataError, match=r"`clusters` has shape \(3,\), expected \(60,\)"):
        survey_design(ROWS, clusters=[1, 2, 3])
    with pytest.raises(DataError, match=r"`strata` has shape \(60, 1\)"):
        survey_design(ROWS, strata=np.zeros((60, 1)))
    with pytest.raises(DataError, match=r"`strata` is missing at .*7"):
        survey_design(ROWS, strata=np.where(np.arange(60) == 7, np.nan, 0.0))
    with pytest.raises(DataError, match=r"stratum alone has a single row.*Merge"):
        survey_design(ROWS, strata=["alone"] + ["crowd"] * 59)
    with pytest.raises(DataError, match="the data has a single cluster"):
        survey_design(ROWS, clusters=["one"] * 60)
