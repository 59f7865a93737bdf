"""Every family that can be sampled: its count of free variables, its prior draws, its way there and back."""

from functools import partial
from itertools import permutations
from math import factorial

import numpy as np
import pymc as pm
import pytensor
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import dblquad, quad
from scipy.stats import kstest, norm

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES, covariance_family
from bayesgmm.em.families.projection import within_family
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.coordinates.orientation import start_orientations
from bayesgmm.model.coordinates.volume_shape import start_shapes
from bayesgmm.model.families import ONE_DIMENSIONAL, PARAMETRISATIONS, parametrisation
from bayesgmm.model.families.common_orientation import common_axes
from bayesgmm.model.mixture_model import mixture_model, resolved_prior, specification
from bayesgmm.model.points import starting_point
from bayesgmm.priors import (
    LKJ,
    Decomposed,
    HalfNormal,
    InverseGamma,
    InverseWishart,
    LogNormal,
    Prior,
    RandomScale,
)
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_point, unconstrained_space
from tests.support.reference import INTERPRETED, random_covariances

families = pytest.mark.parametrize("family", PARAMETRISATIONS)
DECOMPOSED = [name for name, family in FAMILIES.items() if not family.linear]
decomposed = pytest.mark.parametrize("family", DECOMPOSED)
oriented = pytest.mark.parametrize("family", [name for name in DECOMPOSED if not FAMILIES[name].per_column])
RANDOM_SCALE = InverseWishart(5.0, RandomScale())


def rows(rng, D):
    return rng.normal(size=(40, D)) @ (np.eye(D) + 0.3) * np.arange(1, D + 1)


def priors_of(family):
    """The default of the family, and two others."""
    if family in DECOMPOSED:
        others = Decomposed(InverseGamma(3.0, 2.0), LogNormal(0.0, 1.3), eta=3.0), Decomposed(HalfNormal(2.0))
    else:
        others = LKJ(1.5, LogNormal(0.0, 1.0)), RANDOM_SCALE
    return [None, *(Prior(covariances=other) for other in others)]


def random_member(rng, family, K, D):
    """A mixture of the family near random covariances."""
    full = MixtureParameters.from_covariances(
        np.full(K, 1 / K), rng.normal(size=(K, D)), random_covariances(rng, "full", K, D)
    )
    return within_family(full, covariance_family(family))


def covariances_at(model, vector):
    return constrain_draws(model, vector[None])["covariances"][0]


@families
@pytest.mark.parametrize(("K", "D"), [(2, 1), (1, 3), (3, 2)])
def test_free_variables_are_as_many_as_parameters(rng, family, K, D):
    model = mixture_model(rows(rng, D), K, covariance_type=family)
    assert unconstrained_space(model).size == covariance_family(family).n_parameters(K, D)


# Every family with each of its priors, in one dimension and in more.
STARTS = [((1, 1, 0), (3, 2, 1), (2, 3, 2)), ((3, 1, 1), (1, 2, 2), (2, 3, 0))]


@pytest.mark.parametrize(
    ("family", "K", "D", "prior"), [(name, *case) for i, name in enumerate(PARAMETRISATIONS) for case in STARTS[i % 2]]
)
def test_the_start_is_the_mixture_it_was_given_and_has_a_density(rng, family, K, D, prior):
    mixture = random_member(rng, family, K, D)
    centred = K == D + 1 or prior == 1
    model = mixture_model(
        rows(rng, D), K, covariance_type=family, prior=priors_of(family)[prior], start=mixture if centred else None
    )
    vector = unconstrained_point(model, starting_point(model, mixture))
    assert_allclose(covariances_at(model, vector), mixture.covariances, rtol=1e-8, atol=1e-9)
    density = pytensor.function(model.value_vars, model.logp(), mode=INTERPRETED)
    assert np.isfinite(density(*unconstrained_space(model).split(vector).values()))
    if centred and specification(model).centre is not None:
        assert_allclose(unconstrained_space(model).split(vector)["rotations_unit_logodds__"], 0.0, atol=1e-6)


@families
def test_covariances_of_prior_draws_belong_to_the_family(rng, family):
    K, D = 3, 3
    model = mixture_model(rows(rng, D), K, covariance_type=family)
    for Sigma in pm.draw(model["covariances"], 5, mode=INTERPRETED, random_seed=rng):
        drawn = MixtureParameters.from_covariances(np.full(K, 1 / K), np.zeros((K, D)), Sigma)
        projected = within_family(drawn, covariance_family(family), Sigma).covariances
        size = np.sqrt(np.einsum("kii,kjj->kij", Sigma, Sigma))
        assert np.all(np.abs(projected - Sigma) < 1e-6 * size)
        if K > 1 and covariance_family(family).code[0] == "V":
            volumes = np.linalg.det(Sigma)
            assert np.ptp(volumes) > 1e-6 * volumes.max()


@families
def test_gradient_is_that_of_finite_differences(rng, family):
    K, D = 2, 3
    prior = None if family in DECOMPOSED else Prior(covariances=RANDOM_SCALE)
    model = mixture_model(rows(rng, D), K, covariance_type=family, prior=prior)
    space = unconstrained_space(model)
    logp = model.logp()
    value = pytensor.function(model.value_vars, logp, mode=INTERPRETED)
    gradients = pytensor.function(model.value_vars, pytensor.grad(logp, model.value_vars), mode=INTERPRETED)
    vector = 0.5 * rng.normal(size=space.size)
    gradient = np.concatenate([np.ravel(part) for part in gradients(*space.split(vector).values())])
    differences = [
        (value(*space.split(vector + h).values()) - value(*space.split(vector - h).values())) / 2e-5
        for h in 1e-5 * np.eye(space.size)
    ]
    assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(differences).max())


@decomposed
def test_prior_draws_have_the_volumes_and_shapes_that_were_asked_for(rng, family):
    """Volumes, and ratios of standard deviations of features or axes, by Kolmogorov and Smirnov; level 1e-4."""
    D, K, draws = 2, 2, 800
    prior = Decomposed(LogNormal(1.0, 0.4), LogNormal((0.5, -0.7) if FAMILIES[family].per_column else 0.0, 0.6))
    model = mixture_model(rows(rng, D), K, covariance_type=family, prior=Prior(covariances=prior))
    Sigma = pm.draw(model["covariances"], draws, mode=INTERPRETED, random_seed=rng)[:, 1]
    log_root = np.linalg.slogdet(Sigma)[1] / (2 * D)
    assert kstest(log_root, norm(1.0, 0.4).cdf).pvalue > 1e-4
    if FAMILIES[family].per_column:
        ratio = 0.5 * np.log(Sigma[:, 0, 0] / Sigma[:, 1, 1])
        assert kstest(ratio, norm(1.2, 0.6 * np.sqrt(2)).cdf).pvalue > 1e-4
    else:
        values, vectors = np.linalg.eigh(Sigma)
        ratio = 0.5 * np.log(values[:, 1] / values[:, 0])
        assert kstest(ratio / (0.6 * np.sqrt(2)), lambda x: 2 * norm.cdf(x) - 1).pvalue > 1e-4
        # the direction of the longest axis is uniform over the half turn
        direction = np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1]) % np.pi
        assert kstest(direction / np.pi, "uniform").pvalue > 1e-4
    if family in ("VEE", "EVV"):
        correlation = Sigma[:, 0, 1] / np.sqrt(Sigma[:, 0, 0] * Sigma[:, 1, 1])
        assert kstest((1 + correlation) / 2, "uniform").pvalue > 1e-4


def test_orientations_in_three_dimensions_do_not_know_the_centre(rng):
    """The mean of log Sigma / trace of its square is that of a uniform orientation; k = 5 standard errors."""
    draws = 1500
    start = random_member(rng, "VEV", 1, 3)
    model = mixture_model(rows(rng, 3), 1, covariance_type="VEV", start=start)
    vectors = np.linalg.eigh(pm.draw(model["covariances"], draws, mode=INTERPRETED, random_seed=rng)[:, 0])[1]
    # squared coordinates of a uniform direction: mean 1/3, variance 4/45
    assert np.all(np.abs((vectors**2).mean(axis=0) - 1 / 3) < 5 * np.sqrt(4 / 45 / draws))


def log_prior(model, name):
    """Log density of one free variable over its unconstrained value, Jacobian included."""
    variable = model[name]
    run = pytensor.function(
        [model.rvs_to_values[variable]], model.logp(vars=[variable]), mode=INTERPRETED, on_unused_input="ignore"
    )
    shape = model.rvs_to_values[variable].type.shape
    return lambda *x: float(run(np.reshape(x, shape)))


def _along(density, unit, at_centre, x):
    return np.exp(density(*(x * unit)) - at_centre)


@pytest.mark.parametrize("family", ["VEV", "EVE"])
def test_densities_over_the_unconstrained_space_integrate_to_one(rng, family):
    # independent angles: quadrature of each, with the others held, gives the density's factors
    factors = {1: 2 * np.pi, 2: 4.0}
    for D in (2, 3):
        rotations = log_prior(mixture_model(rows(rng, D), 1, covariance_type=family), "rotations_unit")
        expected = [factors[j - i] for i, j in zip(*np.triu_indices(D, 1), strict=True)]
        at_centre = rotations(*np.zeros(len(expected)))
        assert_allclose(at_centre, -np.log(expected).sum(), rtol=1e-10)
        for unit, factor in zip(np.eye(len(expected)), expected, strict=True):
            # symmetric: twice the half on which 1 - unit is not rounded
            half = quad(partial(_along, rotations, unit, at_centre), -60, 0)[0]
            assert_allclose(2 * half, factor, rtol=1e-6)
    if family == "VEV":
        pair = log_prior(mixture_model(rows(rng, 2), 1, covariance_type=family), "axis_gaps")
        assert_allclose(quad(lambda x: np.exp(pair(x)), -40, 4)[0], 1.0, rtol=1e-6)
        triple = log_prior(mixture_model(rows(rng, 3), 1, covariance_type=family), "axis_gaps")
        assert_allclose(dblquad(lambda x, y: np.exp(triple(x, y)), -14, 2.5, -14, 2.5, epsabs=1e-3)[0], 1.0, rtol=2e-3)


@oriented
def test_covariances_have_as_many_copies_among_the_free_variables_as_is_said(rng, family):
    """Points of the chart are found again, or as one of D! orders of the axes, of the same prior density."""
    K, D = 2, 3
    model = mixture_model(rows(rng, D), K, covariance_type=family)
    half = parametrisation(family)
    assert half.copies(D) == (factorial(D) if family in ("EVE", "VVE") else 1)
    space = unconstrained_space(model)
    centre, prior = specification(model).centre, resolved_prior(model).covariances
    for _ in range(2):
        vector = 0.7 * rng.normal(size=space.size)
        Sigma = covariances_at(model, vector)
        found = half.start(prior, Sigma, centre)
        given = {
            name: value
            for name, value in constrain_draws(model, vector[None]).items()
            if name in {rv.name for rv in model.free_RVs}
        }
        if half.copies(D) == 1:
            for name, value in found.items():
                assert_allclose(value, given[name][0], rtol=1e-6, atol=1e-8)
            continue
        points = set()
        for order in permutations(range(D)):
            # the axes in another order, seen from the same centre
            axes = common_axes(Sigma)[:, order]
            variances = np.einsum("ij,kil,lj->kj", axes, Sigma, axes)
            turned = start_shapes(prior, variances, own=True) | start_orientations(axes, centre[0])
            point = unconstrained_point(model, {name: value[0] for name, value in given.items()} | turned)
            assert_allclose(covariances_at(model, point), Sigma, rtol=1e-6, atol=1e-8)
            points.add(tuple(np.round(point, 6)))
        assert len(points) == factorial(D)


def test_one_centre_is_as_good_as_another(rng):
    """The density over covariances does not depend on the centre of the chart: by the change of variables."""
    D, lower = 2, np.tril_indices(2)
    mixture = random_member(rng, "VEV", 1, D)
    found = []
    for start in (None, mixture, random_member(rng, "VEV", 1, D)):
        model = mixture_model(np.arange(40.0).reshape(20, 2) ** [1.0, 0.5], 1, covariance_type="VEV", start=start)
        space = unconstrained_space(model)
        covariance = [rv for rv in model.free_RVs if rv.name != "means"]
        run = pytensor.function(
            [model.rvs_to_values[rv] for rv in covariance], model.logp(vars=covariance), mode=INTERPRETED
        )
        vector = unconstrained_point(model, starting_point(model, mixture))
        parts = space.split(vector)
        free = [i for i in range(space.size) if i >= D]
        steps = 1e-6 * np.eye(space.size)[free]
        jacobian = np.stack(
            [(covariances_at(model, vector + h)[0] - covariances_at(model, vector - h)[0])[lower] / 2e-6 for h in steps]
        )
        logp = run(*(parts[model.rvs_to_values[rv].name] for rv in covariance))
        found.append(float(logp) - np.linalg.slogdet(jacobian)[1])
    assert_allclose(found, found[0], atol=1e-6)


@pytest.mark.parametrize("family", ONE_DIMENSIONAL)
def test_one_feature_has_two_families(rng, family):
    X = rows(rng, 1)
    model = mixture_model(X, 2, covariance_type=family)
    alike = mixture_model(X, 2, covariance_type={"E": "tied", "V": "full"}[family])
    vector = rng.normal(size=unconstrained_space(model).size)
    assert_allclose(covariances_at(model, vector), covariances_at(alike, vector))
    with pytest.raises(ValueError, match=f"'{family}' is for one feature; the data has 2"):
        mixture_model(rows(rng, 2), 2, covariance_type=family)


def test_a_start_must_be_a_mixture_of_the_same_size(rng):
    X = rows(rng, 2)
    with pytest.raises(ValueError, match=r"`start` must have means of shape \(2, 2\), received \(3, 2\)"):
        mixture_model(X, 2, covariance_type="VEV", start=random_member(rng, "VEV", 3, 2))
    with pytest.raises(ValueError, match="`start` must be a fitted GaussianMixture or MixtureParameters; received"):
        mixture_model(X, 2, covariance_type="VEV", start="k-means")
    fit = GaussianMixture(2, covariance_type="VEV", random_state=0).fit(X)
    model = mixture_model(X, 2, covariance_type="VEV", start=fit)
    assert_allclose(specification(model).centre, model["orientation_centre"].get_value())
    axes = specification(model).centre
    diagonal = np.swapaxes(axes, 1, 2) @ fit.parameters_.covariances @ axes
    assert_allclose(diagonal * (1 - np.eye(2)), 0.0, atol=1e-9 * np.abs(diagonal).max())
