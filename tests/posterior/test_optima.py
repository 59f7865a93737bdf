"""Other optima of the likelihood: they are optima, admissible, and none is told twice."""

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.posterior import optima
from bayesgmm.posterior.optima import SAME_MIXTURE, is_known, other_optima


@pytest.fixture(scope="module")
def galaxies():
    X = as_observations(load_dataset("galaxies"))
    return X, GaussianMixture(3, n_init=10, random_state=0).fit(X)


def test_other_optima_are_optima_and_not_the_same(galaxies) -> None:
    X, fit = galaxies
    others = other_optima(X, fit, "full", seed=1)
    assert others
    for other in others:
        assert other.admissible_ and other.lower_bound_ < fit.lower_bound_
        again = GaussianMixture(3, init_params=other).fit(X)
        assert again.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-5)
        assert float(align(other.parameters_, fit.parameters_).cost) > SAME_MIXTURE


def test_with_many_rows_they_are_looked_for_among_some(galaxies, monkeypatch) -> None:
    X, fit = galaxies
    monkeypatch.setattr(optima, "EXPLORED_ROWS", 60)
    others = other_optima(X, fit, "full", seed=4)
    assert others
    for other in others:
        assert other.lower_bound_ < fit.lower_bound_
        # followed up on all rows: an optimum of these, not of those looked at
        again = GaussianMixture(3, init_params=other).fit(X)
        assert again.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-5)


def test_one_component_has_one_optimum() -> None:
    X = as_observations(load_dataset("galaxies"))
    assert other_optima(X, GaussianMixture(1).fit(X), "full", seed=1) == []


def test_a_mixture_is_known_under_any_labels(galaxies) -> None:
    _, fit = galaxies
    p = fit.parameters_
    relabelled = p.permute(np.array([2, 0, 1]))
    assert is_known(relabelled, [p])
    assert not is_known(relabelled, [])
    assert not is_known(p.affine(np.array([5.0]), 1.0), [p])
