"""Modes of the posterior: each once, whatever the labels, and what is known where no Gaussian describes it."""

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.posterior.posterior_modes import climb, most_probable_first, posterior_modes, probabilities
from bayesgmm.sampler.log_density import compile_log_density


@pytest.fixture(scope="module")
def faithful():
    X = as_observations(load_dataset("faithful"))
    model = mixture_model(X, 2)
    return X, GaussianMixture(2, random_state=0).fit(X), model, compile_log_density(model)


def test_one_optimum_under_two_labellings_is_one_mode(faithful) -> None:
    X, fit, model, density = faithful
    p = fit.parameters_
    relabelled = GaussianMixture.from_parameters(p.weights[::-1], p.means[::-1], p.covariances[::-1])
    relabelled.lower_bound_ = fit.lower_bound_
    modes = posterior_modes(model, density, [fit, relabelled], X.total_weight, seed=0)
    assert len(modes) == 1
    assert probabilities(modes) == [1.0]
    assert modes[0].gaussian is not None
    gradient = density(modes[0].gaussian.frame.centre)[1] @ modes[0].gaussian.frame.factor
    assert np.abs(gradient).max() < 2e-3
    assert modes[0].em_log_likelihood == pytest.approx(X.total_weight * fit.lower_bound_)


def test_a_climb_ends_at_the_mode_where_there_is_one(faithful) -> None:
    X, fit, model, density = faithful
    (mode,) = posterior_modes(model, density, [fit], X.total_weight, seed=0)
    start = mode.frame.to_x(np.full(len(mode.point), 1.0))
    end = climb(density, start)
    assert density(end)[0] > density(start)[0]
    np.testing.assert_allclose(mode.frame.to_z(end), 0.0, atol=0.05)


def test_a_mode_without_a_gaussian_has_no_probability_and_leaves_the_order(faithful) -> None:
    X, fit, model, density = faithful
    (mode,) = posterior_modes(model, density, [fit], X.total_weight, seed=0)
    higher = mode._replace(check=mode.check._replace(log_evidence=mode.log_evidence + np.log(3.0)))
    np.testing.assert_allclose(probabilities([mode, higher]), [0.25, 0.75])
    assert most_probable_first([mode, higher])[0] is higher
    flat = mode._replace(gaussian=None, check=None)
    assert flat.frame is None
    assert np.isnan(probabilities([mode, flat])).all()
    assert most_probable_first([flat, mode])[0] is flat
