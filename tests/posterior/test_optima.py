import warnings

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.posterior import optima
from bayesgmm.posterior.chains import OtherModeWarning, split_chains
from bayesgmm.posterior.optima import other_optima
from bayesgmm.posterior.posterior_modes import SAME_MIXTURE, posterior_modes, probabilities
from bayesgmm.sampler.log_density import compile_log_density


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
    everywhere = [other.lower_bound_ for other in other_optima(X, fit, "full", seed=1)]
    monkeypatch.setattr(optima, "EXPLORED_ROWS", 60)
    found = [other.lower_bound_ for other in other_optima(X, fit, "full", seed=4)]
    assert set(np.round(found, 4)) <= set(np.round(everywhere, 4)) or found
    for bound in found:
        assert bound < fit.lower_bound_


def test_one_optimum_under_two_labellings_is_one_mode() -> None:
    X = as_observations(load_dataset("faithful"))
    fit = GaussianMixture(2, random_state=0).fit(X)
    p = fit.parameters_
    relabelled = GaussianMixture.from_parameters(p.weights[::-1], p.means[::-1], p.covariances[::-1])
    relabelled.lower_bound_ = fit.lower_bound_
    density = compile_log_density(model := mixture_model(X, 2))
    modes = posterior_modes(model, density, [fit, relabelled], X.total_weight, seed=0)
    assert len(modes) == 1
    assert probabilities(modes) == [1.0]
    assert modes[0].gaussian is not None
    gradient = density(modes[0].gaussian.frame.centre)[1] @ modes[0].gaussian.frame.factor
    assert np.abs(gradient).max() < 2e-3
    assert modes[0].em_log_likelihood == pytest.approx(X.total_weight * fit.lower_bound_)


def test_chains_in_modes_of_their_own_are_kept_apart(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    near, far = np.abs(rng.normal(size=(2, 4, 50))) + np.array([0.0, 10.0])[:, None, None]
    costs = np.stack([near, far])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept, apart, mode = split_chains(lp, costs)
        assert (kept, apart, mode.tolist()) == ([0, 1, 2, 3], [], [0, 0, 0, 0])
    lp[3] -= 20
    costs[:, 3] = costs[::-1, 3]
    with pytest.warns(OtherModeWarning, match=r"1 of 4 chains .* (19|20)\.\d lower .* holds 0\.25 of the probability"):
        assert split_chains(lp, costs, np.array([0.75, 0.25]))[:2] == ([0, 1, 2], [3])
    # what holds most is what is kept, whatever the number of chains
    with pytest.warns(OtherModeWarning, match=r"3 of 4 chains .* higher"):
        assert split_chains(lp, costs, np.array([0.1, 0.9]))[:2] == ([3], [0, 1, 2])


def test_modes_of_equal_height_are_told_apart(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    near, far = np.abs(rng.normal(size=(2, 4, 50))) + np.array([0.0, 10.0])[:, None, None]
    costs = np.stack([near, far])
    costs[:, 1] = costs[::-1, 1]
    with pytest.warns(OtherModeWarning, match="kept apart"):
        assert split_chains(lp, costs)[:2] == ([0, 2, 3], [1])


def test_chains_that_disagree_within_one_mode_are_not_trusted(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    lp[1] -= 30
    with pytest.warns(OtherModeWarning, match="do not agree"):
        assert split_chains(lp, np.abs(rng.normal(size=(1, 4, 50))))[:2] == ([0, 1, 2, 3], [])
