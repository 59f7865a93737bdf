"""The adjustment against the model's own gradient, the sandwich of EM, and the laws it obeys."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.tables import DataError
from bayesgmm.kernel.scores import row_derivatives
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import starting_point
from bayesgmm.posterior import datatree
from bayesgmm.posterior.pseudo_posterior import AdjustmentError, adjust_pseudo_posterior, local_jacobian
from bayesgmm.posterior.sampling import PseudoPosteriorWarning
from bayesgmm.sampler.log_density import compile_log_density
from bayesgmm.sampler.unconstrained import prior_gradients, unconstrained_point
from tests.support.incomplete_cases import incomplete_rows, mixture

SETTINGS = {"method": "laplace", "chains": 2, "draws": 600, "random_seed": 1, "progressbar": False}
WEAK = bg.Prior(
    weights=bg.priors.Dirichlet(1.0),
    means=bg.priors.Normal([3.5, 70.0], [20.0, 200.0]),
    covariances=bg.priors.InverseWishart(3.0, [[0.02, 0.0], [0.0, 5.0]]),
)
X = bg.load_dataset("faithful")
WEIGHTS = np.random.default_rng(1).uniform(0.2, 1.8, size=272)


def sampled(rows=X, weights=WEIGHTS, **more) -> xr.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PseudoPosteriorWarning)
        return bg.sample_posterior(rows, 2, weights=weights, **(SETTINGS | {"prior": WEAK} | more))


@pytest.fixture(scope="module")
def pseudo() -> xr.DataTree:
    return sampled()


def spread(dt) -> np.ndarray:
    names = ("weights", "means", "covariances")
    return np.concatenate([np.ravel(dt["posterior"][name].std(("chain", "draw"))) for name in names])


@pytest.mark.parametrize(
    ("covariance_type", "kinds", "noise"),
    [
        ("full", ("weights",), None),
        ("tied", ("missing", "labels", "weights"), None),
        ("VEV", ("weights",), None),
        ("diag", ("weights",), "box"),
    ],
)
def test_scores_and_prior_add_up_to_the_gradient_of_the_model(covariance_type, kinds, noise, rng):
    given = incomplete_rows(rng, kinds, mixture(rng, 2, 3), 60)
    observations = replace(given.observations(), weights=rng.uniform(0.5, 1.5, 60))
    fit = bg.GaussianMixture(2, covariance_type=covariance_type, init_params=given.components, tol=1e-2, noise=noise)
    fit.fit(given.X, known_labels=given.known_labels)
    model = mixture_model(observations, 2, covariance_type=covariance_type, start=fit, noise=noise)
    vector = unconstrained_point(model, starting_point(model, fit.parameters_))
    vector = vector + 0.05 * rng.normal(size=len(vector))
    parameters, jacobian = local_jacobian(model, vector)
    total = sum(block.weights @ block.scores(parameters) for block in row_derivatives(observations, parameters))
    _, expected = compile_log_density(model)(vector)
    found = total @ jacobian + prior_gradients(model, vector[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_under_a_weak_prior_it_has_the_standard_errors_of_em(pseudo):
    """k = 4 standard errors of a standard deviation of 1200 draws, and an eighth for the prior and N = 272."""
    adjusted = adjust_pseudo_posterior(pseudo)
    fit = bg.GaussianMixture(2, init_params=datatree.em_fit(pseudo)).fit(X, sample_weight=WEIGHTS)
    errors = bg.standard_errors(fit, X, WEIGHTS)
    for name in ("weights", "means"):
        ratio = adjusted["posterior"][name].std(("chain", "draw")).values / errors[name].values
        assert (np.abs(ratio - 1) < 4 / np.sqrt(2 * 1200) + 1 / 8).all()
    before = pseudo["posterior"]["means"].std(("chain", "draw")) / errors["means"]
    assert float(before.min()) < 0.9


def test_the_centre_stays_and_the_tree_is_a_posteriors(pseudo, tmp_path):
    adjusted = adjust_pseudo_posterior(pseudo)
    for name in ("weights", "means"):
        old, new = (dt["posterior"][name] for dt in (pseudo, adjusted))
        assert old.dims == new.dims and old.attrs == new.attrs
        gap = (new.mean(("chain", "draw")) - old.mean(("chain", "draw"))) / old.std(("chain", "draw"))
        assert float(np.abs(gap).max()) < 0.1
    assert {"sample_stats", "log_likelihood", "alignment", "importance"} & set(adjusted.children) == set()
    assert {"sample_stats", "log_likelihood", "alignment", "importance"} <= set(pseudo.children)
    least, mean, largest = datatree.meta(adjusted)["adjusted"]["design_effects"]
    assert 0 < least < mean < largest
    datatree.save(adjusted, tmp_path / "adjusted.nc")
    back = xr.load_datatree(tmp_path / "adjusted.nc")
    assert (bg.membership(back)["label"] == bg.membership(adjusted)["label"]).all()
    assert bg.diagnose(back).ok
    for says_of_a_posterior in (bg.log_evidence, bg.leave_one_out):
        with pytest.raises(ValueError, match="adjusted to a survey's design"):
            says_of_a_posterior(back)


def test_each_row_fourfold_in_clusters_is_each_row_once(pseudo):
    """Clusters of equal rows at a quarter of the weight: the pseudo-likelihood is the same, and so is the design."""
    fourfold = sampled(np.repeat(X.values, 4, axis=0), np.repeat(WEIGHTS, 4))
    four = adjust_pseudo_posterior(fourfold, clusters=np.repeat(np.arange(272), 4))
    # scaled to their number, these weights sum to four times as much, and the unadjusted is half as wide
    ratio = spread(fourfold) / spread(pseudo)
    assert (ratio[ratio > 0] < 0.6).all()
    ratio = spread(four) / spread(adjust_pseudo_posterior(pseudo))
    assert (np.abs(ratio - 1) < 4 * np.sqrt(2 / (2 * 1200)) + 0.05).all()


def test_relabelled_draws_are_adjusted_alike():
    """A prior that tells the components apart knows them by its own labels, whatever those of the tree are."""
    told_apart = replace(WEAK, weights=bg.priors.Dirichlet([3.0, 6.0]))
    dt = sampled(prior=told_apart)
    swapped = dt.copy()
    swapped["posterior"] = xr.DataTree(
        dt["posterior"].to_dataset().isel(component=[1, 0]).assign_coords(component=[0, 1])
    )
    permutation = dt["alignment"].to_dataset()
    swapped["alignment"] = xr.DataTree(permutation.assign(permutation=permutation["permutation"][..., ::-1]))
    one, two = adjust_pseudo_posterior(dt), adjust_pseudo_posterior(swapped)
    np.testing.assert_allclose(two["posterior"]["means"][..., ::-1, :], one["posterior"]["means"], rtol=1e-6)


def test_what_cannot_be_adjusted_is_refused(pseudo):
    def changed(**facts):
        dt = pseudo.copy()
        datatree.write_meta(dt, datatree.meta(pseudo) | facts)
        return dt

    with pytest.raises(AdjustmentError, match="adjusted before"):
        adjust_pseudo_posterior(adjust_pseudo_posterior(pseudo))
    with pytest.raises(AdjustmentError, match="counts of equal rows"):
        adjust_pseudo_posterior(changed(weights="frequency"))
    with pytest.raises(AdjustmentError, match="nothing to adjust for"):
        adjust_pseudo_posterior(changed(weights="none"))
    with pytest.raises(AdjustmentError, match="9 clusters less strata cannot tell how 11"):
        adjust_pseudo_posterior(pseudo, clusters=np.arange(272) % 10)
    with pytest.raises(DataError, match="`strata` has shape"):
        adjust_pseudo_posterior(pseudo, strata=[1, 2])
    with pytest.raises(AdjustmentError, match="50 draws are too few"):
        few = pseudo.copy()
        few["posterior"] = xr.DataTree(pseudo["posterior"].to_dataset().isel(draw=slice(25)))
        adjust_pseudo_posterior(few)
    elsewhere = pseudo.copy()
    elsewhere["other_mode"] = pseudo["posterior"]
    with pytest.raises(AdjustmentError, match="different modes"):
        adjust_pseudo_posterior(elsewhere)
    switching = pseudo.copy()
    draws = pseudo["posterior"].to_dataset()
    halves = [draws.isel(draw=slice(300)), draws.isel(draw=slice(300, None), component=[1, 0])]
    halves[1] = halves[1].assign_coords(component=[0, 1])
    switching["posterior"] = xr.DataTree(xr.concat(halves, "draw"))
    with pytest.raises(AdjustmentError, match="labels switch"):
        adjust_pseudo_posterior(switching)
