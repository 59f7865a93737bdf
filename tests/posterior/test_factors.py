"""Factors of a group's covariances: made once, made anew whenever a bit changes, gone with the group."""

import gc

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

import bayesgmm as bg
from bayesgmm.mixture.parameters import inverse_cholesky
from bayesgmm.posterior import factors
from bayesgmm.posterior.datatree import posterior_parameters
from bayesgmm.posterior.factors import precision_factors
from tests.support.posteriors import fake_posterior


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what was factorised."""
    shapes: list[tuple[int, ...]] = []

    def counting(covariances: np.ndarray) -> np.ndarray:
        shapes.append(covariances.shape)
        return inverse_cholesky(covariances)

    monkeypatch.setattr(factors, "inverse_cholesky", counting)
    return shapes


def test_a_second_question_finds_the_factors_of_the_first(counted) -> None:
    _, dt, X = fake_posterior()
    dt = dt.copy(deep=True)
    first = bg.density(dt, X[:3], progressbar=False)
    assert counted == [(2, 100, 2, 2, 2)]
    second = bg.density(dt, X[:3], progressbar=False)
    bg.membership(dt, X[:3], n_simulated=0, progressbar=False)
    bg.diagnose(dt)
    assert counted == [(2, 100, 2, 2, 2), (2, 2, 2)], "of the draws, and of the EM fit"
    xr.testing.assert_identical(first, second)


def test_they_are_those_of_the_covariances_as_they_are_now(counted) -> None:
    _, dt, _ = fake_posterior()
    dt = dt.copy(deep=True)

    for change in range(4):
        if change == 1:  # in place
            dt["posterior"]["covariances"].values[1, 7] *= 1.0 + 2**-50
        if change == 2:  # another variable
            dt["posterior"]["covariances"] = 4.0 * dt["posterior"]["covariances"]
        if change == 3:  # another order of the axes, and of the draws
            reversed_draws = dt["posterior"].to_dataset().isel(draw=slice(None, None, -1))
            dt["posterior"].dataset = reversed_draws.transpose("component", ...)
        found = posterior_parameters(dt).precision_cholesky
        order = ("chain", "draw", "component", "feature", "feature_bis")
        assert_array_equal(found, inverse_cholesky(dt["posterior"]["covariances"].transpose(*order).values))
        assert len(counted) == change + 1


def test_each_group_has_its_own_and_they_go_with_it() -> None:
    gc.collect()
    before = len(factors._KEPT)
    _, dt, _ = fake_posterior()
    dt = dt.copy(deep=True)
    other = dt.copy(deep=True)
    for tree in (dt, other):
        for group in ("posterior", "em"):
            covariances = tree[group]["covariances"].values
            assert precision_factors(tree.children[group], covariances).shape == covariances.shape
    assert len(factors._KEPT) == before + 4
    del dt, other, tree
    gc.collect()
    assert len(factors._KEPT) == before


def test_what_is_no_covariance_is_refused_and_not_remembered() -> None:
    _, dt, _ = fake_posterior()
    dt = dt.copy(deep=True)
    dt["posterior"]["covariances"].values[0, 3, 1] = -np.eye(2)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"component 1 \(mixture \(0, 3\)\) is not positive definite"):
            posterior_parameters(dt)
