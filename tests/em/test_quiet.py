"""Fits without a word: no warning, and how each ended is told by what comes back."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.em.collapse import CollapseError, CollapseWarning
from bayesgmm.em.quiet import admissible_fit, fit_quietly, refit
from bayesgmm.em.solver import Status

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def clumped():
    """Three equal rows far from the others."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(50, 2)), np.full((3, 2), 40.0)])


def test_what_did_not_end_well_is_returned_without_a_word(clumped):
    unfinished = fit_quietly(bg.GaussianMixture(2, max_iter=1, random_state=0), bg.load_dataset("faithful"))
    assert unfinished.status_ is Status.MAX_ITER and not unfinished.converged_
    collapsed = fit_quietly(bg.GaussianMixture(2, random_state=0), clumped)
    assert collapsed.status_ is Status.COLLAPSED
    with pytest.raises(CollapseError, match="Its rows: rows 50, 51, 52"):
        fit_quietly(bg.GaussianMixture(2, reg_covar=0, random_state=0), clumped)


def test_it_is_the_fit_that_warns_otherwise(clumped):
    X = bg.load_dataset("faithful")
    aloud, quiet = (fit(bg.GaussianMixture(2, random_state=0), X) for fit in (bg.GaussianMixture.fit, fit_quietly))
    np.testing.assert_array_equal(quiet.means_, aloud.means_)
    with pytest.raises(CollapseWarning, match="component 1: rows 50, 51, 52"):
        bg.GaussianMixture(2, random_state=0).fit(clumped)


def test_only_clusters_are_admissible(clumped):
    assert admissible_fit(bg.GaussianMixture(2, random_state=0), clumped) is None
    assert admissible_fit(bg.GaussianMixture(2, reg_covar=0, random_state=0), clumped) is None
    assert admissible_fit(bg.GaussianMixture(1), clumped).admissible_


@pytest.mark.parametrize("noise", [None, "hull"])
def test_a_fit_again_begins_at_the_fit_with_its_settings(noise):
    X = bg.load_dataset("faithful")
    fit = bg.GaussianMixture(2, covariance_type="VEE", noise=noise, random_state=0).fit(X)
    again = refit(fit, as_observations(X))
    assert again.covariance_type == "VEE" and again.n_iter_ <= 3
    np.testing.assert_allclose(again.means_, fit.means_, rtol=1e-3)
    if noise is not None:
        assert again.noise_background_ is fit.noise_background_, "the background is that of the fit, whatever the rows"
