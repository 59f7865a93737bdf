"""With equal priors the posterior is that of `pm.Mixture` of `pm.MvNormal`, sampled by PyMC. Run by `make calibrate`.

Two implementations that share nothing but the priors' definition: ours has its own likelihood, gradient, coordinates
and sampler; PyMC's has `pm.LKJCholeskyCov` and its default sampler.
"""

import arviz_stats
import numpy as np
import pymc as pm
import pytest

import bayesgmm as bg
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.reference import lkj_mixture_model

ERRORS = 4.0
"""Combined Monte Carlo standard errors; of 24 numbers one is beyond them by chance in one run of 650."""

NAMES = ("weights", "means", "covariances")


def summarised(parameters: MixtureParameters) -> dict[str, tuple[float, float, float, float]]:
    """Mean, its standard error, standard deviation, its standard error, of every number."""
    found = {}
    i, j = np.tril_indices(parameters.n_features)
    parts = (parameters.weights, parameters.means, parameters.covariances[..., i, j])
    for name, value in zip(NAMES, parts, strict=True):
        for index in np.ndindex(value.shape[2:]):
            draws = value[(..., *index)]
            errors = [float(arviz_stats.mcse(draws, method=m, chain_axis=0, draw_axis=1)) for m in ("mean", "sd")]
            found[f"{name}{list(index)}"] = (draws.mean(), errors[0], draws.std(ddof=1), errors[1])
    return found


@pytest.mark.filterwarnings("ignore")
def test_posterior_equals_that_of_pymc_mixture(capsys: pytest.CaptureFixture) -> None:
    X = bg.load_dataset("faithful")
    rows = np.asarray(X.values)
    sd = rows.std(axis=0)
    prior = bg.Prior(
        weights=bg.priors.Dirichlet(2.0),
        means=bg.priors.Normal(rows.mean(axis=0), 2 * sd),
        covariances=bg.priors.LKJ(2.0, sd=bg.priors.LogNormal(np.log(sd / 2), 0.7)),
    )
    fit = bg.GaussianMixture(2, n_init=5, random_state=0).fit(X)
    tree = bg.sample_posterior(X, 2, prior=prior, start=fit, random_seed=1, progressbar=False)
    ours = MixtureParameters.from_covariances(*(tree["posterior"][name].values for name in NAMES))
    model, values = lkj_mixture_model(rows, 2, prior, fit.parameters_)
    with model:
        theirs_tree = pm.sample(initvals=values, random_seed=2, progressbar=False)
    drawn = MixtureParameters.from_covariances(*(theirs_tree["posterior"][name].values for name in NAMES))
    theirs = drawn.permute(align(drawn, fit.parameters_).permutation)
    beyond = []
    with capsys.disabled():
        print(f"\n{'':<20} {'mean: ours':>11} {'PyMC':>11} {'errors':>7} {'sd: ours':>10} {'PyMC':>10} {'errors':>7}")
        other = summarised(theirs)
        for name, (mean, mean_error, spread, spread_error) in summarised(ours).items():
            mean_2, mean_error_2, spread_2, spread_error_2 = other[name]
            z = (mean - mean_2) / np.hypot(mean_error, mean_error_2)
            z_spread = (spread - spread_2) / np.hypot(spread_error, spread_error_2)
            print(
                f"{name:<20} {mean:>11.4f} {mean_2:>11.4f} {z:>7.2f} {spread:>10.4f} {spread_2:>10.4f} {z_spread:>7.2f}"
            )
            beyond += [name for value in (z, z_spread) if abs(value) > ERRORS]
    assert not beyond
