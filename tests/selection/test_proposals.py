"""A proposal has as many components as predict the held-out draws, and no more."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm.selection.proposals import fit_proposal, proposal_density


def draws_around(centres: list[float], rng: np.random.Generator, S: int = 1000) -> np.ndarray:
    """Chains (2, S, 2) that pass from centre to centre."""
    return np.array(centres)[rng.integers(len(centres), size=(2, S, 1))] + rng.normal(size=(2, S, 2))


@pytest.mark.parametrize(("centres", "wanted"), [([0.0], 1), ([-20.0, 20.0], 2)])
def test_components_are_those_that_predict_other_draws(centres, wanted, rng) -> None:
    proposal = fit_proposal(draws_around(centres, rng), draws_around(centres, rng), seed=1)
    assert proposal.n_components == wanted


def test_few_draws_make_no_large_proposal(rng) -> None:
    few = draws_around([-20.0, 0.0, 20.0, 40.0], rng, S=9)
    assert fit_proposal(few, few, seed=1, counts=(1, 4)).n_components == 1


def test_its_density_has_the_shape_of_the_draws(rng) -> None:
    proposal = fit_proposal(draws_around([3.0], rng), draws_around([3.0], rng), seed=1)
    vectors = rng.normal(size=(2, 5, 2))
    p = proposal.parameters_
    expected = multivariate_normal(p.means[0], p.covariances[0]).logpdf(vectors)
    np.testing.assert_allclose(proposal_density(proposal, vectors), expected)
