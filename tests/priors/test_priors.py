"""Priors: exact in JSON, resolved once, equivariant, and clear about what does not fit."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm import priors
from bayesgmm.data.observations import as_observations
from bayesgmm.em.families import FAMILIES as EVERY_FAMILY
from bayesgmm.priors import (
    LKJ,
    Beta,
    Decomposed,
    Dirichlet,
    HalfNormal,
    InverseGamma,
    InverseWishart,
    LogNormal,
    Normal,
    Prior,
    PriorError,
    RandomScale,
)

MEAN, COVARIANCE = np.array([1.0, -2.0, 30.0]), np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -1.0], [0.0, -1.0, 50.0]])
DATA = (MEAN, COVARIANCE)
DATA_2 = (MEAN[:2], COVARIANCE[:2, :2])
FAMILIES = ("full", "tied", "diag", "spherical", "EII", "EEI")

reals = st.floats(-1e300, 1e300, allow_nan=False)
positive = st.floats(1e-300, 1e300, exclude_min=True)
sd_priors = st.one_of(
    st.builds(LogNormal, reals, positive),
    st.builds(InverseGamma, positive, st.lists(positive, min_size=1, max_size=4)),
    st.builds(HalfNormal, positive),
)
any_prior = st.builds(
    Prior,
    weights=st.none() | st.builds(Dirichlet, positive | st.lists(positive, min_size=1, max_size=5)),
    means=st.none() | st.builds(Normal, st.lists(reals, min_size=1, max_size=3), positive),
    covariances=st.one_of(
        st.none(),
        st.builds(InverseWishart, positive, positive | st.builds(RandomScale, st.none() | positive, positive)),
        st.builds(LKJ, positive, sd_priors),
        st.builds(Decomposed, st.none() | sd_priors, st.none() | st.builds(LogNormal, reals, positive), positive),
    ),
    noise=st.none() | st.builds(Beta, positive, positive),
)


def test_the_prior_of_the_noise_is_there_where_there_is_noise():
    assert Prior().resolve(DATA, 2, "full", noise=True).noise == Beta(1.0, 9.0)
    given = Prior(noise=Beta(2.0, 30.0))
    assert given.resolve(DATA, 2, "full", noise=True).noise == Beta(2.0, 30.0)
    assert given.resolve(DATA, 2, "full").noise is None


def test_a_prior_stored_before_there_was_noise_still_loads():
    resolved = Prior().resolve(DATA, 2, "full")
    stored = {name: part for name, part in resolved.to_dict().items() if name != "noise"}
    assert Prior.from_dict(stored) == resolved


@given(any_prior)
def test_json_keeps_every_bit(prior):
    assert Prior.from_dict(json.loads(json.dumps(prior.to_dict()))) == prior


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("covariances", [None, InverseWishart(7.0, 2.0), LKJ(2.0, sd=LogNormal(0.0, 1.0))])
def test_resolving_twice_changes_nothing_and_json_keeps_it(family, covariances):
    resolved = Prior(covariances=covariances).resolve(DATA, 4, family)
    assert resolved.resolve(DATA, 4, family) == resolved
    assert resolved.resolve((100 * MEAN, 7 * COVARIANCE), 4, family) == resolved
    assert Prior.from_dict(json.loads(json.dumps(resolved.to_dict()))) == resolved


@pytest.mark.parametrize(
    ("prior", "exchangeable"),
    [
        (Prior(), True),
        (Prior(weights=Dirichlet([2, 2])), True),
        (Prior(weights=Dirichlet([1, 2])), False),
        (Prior(means=Normal([[1, 2, 3], [1, 2, 3]], 1)), True),
        (Prior(means=Normal([[1, 2, 3], [1, 2, 4]], 1)), False),
        (Prior(means=Normal(0, [[1, 2, 3], [1, 2, 4]])), False),
    ],
)
def test_components_are_exchangeable_where_all_have_one_prior(prior, exchangeable):
    assert prior.exchangeable == prior.resolve(DATA, 2, "full").exchangeable == exchangeable


@pytest.mark.parametrize("family", [name for name, family in EVERY_FAMILY.items() if not family.linear])
@pytest.mark.parametrize(
    "covariances", [None, Decomposed(HalfNormal(2.0)), Decomposed(shape=LogNormal(1.0, 0.3), eta=2.0)]
)
def test_priors_on_volume_and_shape_are_resolved_once_too(family, covariances):
    resolved = Prior(covariances=covariances).resolve(DATA, 4, family)
    assert resolved.resolve((100 * MEAN, 7 * COVARIANCE), 4, family).covariances == resolved.covariances
    assert Prior.from_dict(json.loads(json.dumps(resolved.to_dict()))) == resolved
    assert np.shape(resolved.covariances.shape.mu) == ((3,) if EVERY_FAMILY[family].per_column else ())


def test_default_volumes_and_shapes_are_those_of_the_docstring():
    ellipsoid, diagonal = (Prior().resolve(DATA, 4, name).covariances for name in ("VEE", "EVI"))
    axes = Prior().resolve(DATA, 4, "VEV").covariances
    assert_allclose(np.exp(ellipsoid.volume.mu), np.linalg.det(COVARIANCE) ** (1 / 6) / 4 ** (1 / 3))
    assert_allclose(np.exp(diagonal.volume.mu), np.prod(np.diagonal(COVARIANCE)) ** (1 / 6) / 4 ** (1 / 3))
    assert axes.volume == ellipsoid.volume
    assert ellipsoid.volume.sigma == 1.0 and ellipsoid.eta == 1.0
    assert_allclose(np.exp(ellipsoid.shape.mu), np.sqrt(np.diagonal(COVARIANCE)))
    log_axes = np.log(np.linalg.eigvalsh(COVARIANCE)) / 2
    assert axes.shape.mu == 0.0 and ellipsoid.shape.sigma == np.sqrt(0.5)
    assert_allclose(axes.shape.sigma**2, 0.5 + log_axes.var(ddof=1))


def test_a_random_scale_is_that_of_richardson_and_green_by_default(rng):
    X = rng.normal(size=(50, 2)) * [1.0, 9.0]
    observations, ranges = as_observations(X), np.ptp(X, axis=0)
    prior = Prior(covariances=InverseWishart(4.0, RandomScale()))
    diag = prior.resolve(observations, 2, "diag").covariances
    # alpha = 2, g = 0.2, h = 100 g / (alpha R^2) = 10 / R^2, twice the rate
    assert diag.scale.shape == 0.2
    assert_allclose(2 * np.asarray(diag.scale.rate), 10 / ranges**2)
    full = prior.resolve(observations, 2, "full").covariances
    assert full.scale.shape == 0.7
    assert_allclose(full.scale.rate, np.diag(100 * 0.7 / (4 * ranges**2)))
    assert_allclose(prior.resolve(observations, 2, "EII").covariances.scale.rate, 5 / (ranges**2).mean())
    assert prior.resolve(observations, 2, "full").resolve(DATA_2, 2, "full").covariances == full
    assert Prior.from_dict(json.loads(json.dumps(prior.to_dict()))) == prior


def test_arrays_are_kept_as_tuples_so_that_priors_are_values():
    prior = Normal(np.array([1, 2]), np.float32(3))
    assert prior == Normal((1.0, 2.0), 3.0)
    assert hash(prior) == hash(Normal((1.0, 2.0), 3.0))
    with pytest.raises(AttributeError):
        prior.mu = 2.0


def test_defaults_are_those_of_the_docstring():
    full = Prior().resolve(DATA, 4, "full")
    assert full.weights == Dirichlet((1.0,) * 4)
    assert_allclose(full.means.mu, MEAN)
    assert_allclose(full.means.sigma, 2 * np.sqrt(np.diagonal(COVARIANCE)))
    assert full.covariances.dof == 5.0
    assert_allclose(full.covariances.scale, COVARIANCE / 4 ** (2 / 3), rtol=1e-12)
    assert Prior().resolve(DATA, 4, "EEE") == Prior().resolve(DATA, 4, "tied") == full
    diag, spherical = (Prior().resolve(DATA, 4, name).covariances for name in ("diag", "spherical"))
    assert_allclose(diag.scale, np.diagonal(COVARIANCE) / 4 ** (2 / 3))
    assert_allclose(spherical.scale, np.trace(COVARIANCE) / 3 / 4 ** (2 / 3))
    assert diag.dof == spherical.dof == 3.0


@given(st.lists(st.floats(-8, 8), min_size=3, max_size=3), st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_defaults_follow_a_shift_and_a_scale_of_every_column(log10_scale, shift):
    a, b = 10.0 ** np.array(log10_scale), np.array(shift)
    before = Prior().resolve(DATA, 3, "full")
    after = Prior().resolve((a * MEAN + b, np.outer(a, a) * COVARIANCE), 3, "full")
    assert_allclose(after.means.mu, a * np.asarray(before.means.mu) + b, rtol=1e-12, atol=1e-12 * np.max(np.abs(b)))
    assert_allclose(after.means.sigma, a * np.asarray(before.means.sigma), rtol=1e-12)
    assert_allclose(after.covariances.scale, np.outer(a, a) * np.asarray(before.covariances.scale), rtol=1e-9)


def test_defaults_come_from_observations_with_their_weights(rng):
    X, w = rng.normal(size=(50, 2)), rng.integers(1, 4, 50)
    weighted = Prior().resolve(as_observations(X, weights=w), 2, "full")
    repeated = Prior().resolve(as_observations(np.repeat(X, w, axis=0)), 2, "full")
    assert_allclose(weighted.covariances.scale, repeated.covariances.scale, rtol=1e-12)
    assert_allclose(weighted.means.sigma, repeated.means.sigma, rtol=1e-12)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_a_singular_data_covariance_still_gives_a_proper_default(D, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(D, D - 1))
    S = root @ root.T
    assume(np.linalg.eigvalsh(S)[1] > 1e-6)
    scale = np.asarray(Prior().resolve((np.zeros(D), S), 2, "full").covariances.scale)
    assert np.linalg.eigvalsh(scale)[0] > 0
    assert_allclose(np.diagonal(scale), np.diagonal(S) / 2 ** (2 / D))


def test_numbers_are_given_the_shape_of_the_family():
    assert_allclose(Prior(covariances=InverseWishart(5, 2.0)).resolve(DATA, 2, "full").covariances.scale, 2 * np.eye(3))
    by_feature = Prior(covariances=InverseWishart(5, [1, 2, 3]))
    assert_allclose(by_feature.resolve(DATA, 2, "tied").covariances.scale, np.diag([1, 2, 3]))
    matrix = Prior(covariances=InverseWishart(5, np.diag([1, 2, 3])))
    assert matrix.resolve(DATA, 2, "diag").covariances.scale == (1.0, 2.0, 3.0)
    lkj = Prior(covariances=LKJ(1, HalfNormal(2)))
    assert lkj.resolve(DATA, 2, "full").covariances.sd == HalfNormal((2.0, 2.0, 2.0))
    assert lkj.resolve(DATA, 2, "spherical").covariances.sd == HalfNormal(2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dirichlet(0.0), "`concentration` must be positive, received 0.0"),
        (lambda: Dirichlet([[1.0]]), r"`concentration` must have 0 or 1 dimensions, received shape \(1, 1\)"),
        (lambda: Normal(np.nan, 1.0), "`mu` must hold finite numbers, received nan"),
        (lambda: Normal(0.0, -1.0), "`sigma` must be positive, received -1.0"),
        (lambda: Normal("wide", 1.0), "`mu` must be a number or an array of numbers, received 'wide'"),
        (lambda: InverseWishart(3.0, -1.0), "`scale` must be positive"),
        (lambda: InverseWishart(3.0, [[1.0, 2.0], [0.0, 1.0]]), "`scale` must be a symmetric matrix"),
        (lambda: InverseWishart(3.0, [[1.0, 2.0], [2.0, 1.0]]), "`scale` must be positive definite"),
        (lambda: InverseWishart(0.0, 1.0), "`dof` must be positive"),
        (lambda: LKJ(2.0, sd=1.0), "`sd` must be a LogNormal, an InverseGamma or a HalfNormal, received 1.0"),
        (lambda: LKJ(-2.0, sd=HalfNormal(1.0)), "`eta` must be positive"),
        (lambda: RandomScale(-1.0), "`shape` must be positive"),
        (lambda: RandomScale(1.0, [[1.0, 2.0], [2.0, 1.0]]), "`rate` must be positive definite"),
        (lambda: Decomposed(volume=2.0), "`volume` must be a LogNormal, an InverseGamma or a HalfNormal, received 2.0"),
        (lambda: Decomposed(shape=HalfNormal(1.0)), "`shape` must be a LogNormal, received HalfNormal"),
        (lambda: Decomposed(eta=0.0), "`eta` must be positive"),
        (lambda: Beta(1.0, 0.0), "`beta` must be positive"),
        (lambda: Beta([1.0, 2.0], 1.0), r"`alpha` must have 0 dimensions, received shape \(2,\)"),
        (lambda: Prior(noise=Dirichlet(1.0)), "prior of the noise must be Beta, or None; received Dirichlet"),
        (lambda: Prior(means=Dirichlet(1.0)), "prior of the means must be Normal, or None; received Dirichlet"),
        (lambda: Prior.from_dict({"weights": {"kind": "Cauchy"}}), "`kind` must be one of .*; received 'Cauchy'"),
    ],
)
def test_what_is_no_prior_is_refused_with_its_name(make, message):
    with pytest.raises(PriorError, match=message):
        make()


@pytest.mark.parametrize(
    ("prior", "family", "message"),
    [
        (Prior(weights=Dirichlet([1, 2, 3])), "full", r"`concentration` must be a number or have shape \(2,\)"),
        (Prior(means=Normal([1, 2], 1)), "full", r"`mu` of the means must be a number, \(3,\) or \(2, 3\), .*\(2,\)"),
        (Prior(covariances=InverseWishart(2.0, 1.0)), "full", "`dof` must be more than 2 for 'full' in 3 dim.* 2.0"),
        (Prior(covariances=InverseWishart(5.0, np.eye(2))), "tied", r"`scale` must .* \(3, 3\), received shape \(2, 2"),
        (Prior(covariances=InverseWishart(5.0, COVARIANCE)), "diag", "`scale` has off-diagonal elements"),
        (Prior(covariances=InverseWishart(5.0, [1, 1, 1])), "spherical", "`scale` must be one number"),
        (Prior(covariances=LKJ(1, HalfNormal([1, 2]))), "diag", r"`sigma` must be a number or have shape \(3,\)"),
        (Prior(covariances=LKJ(1, HalfNormal([1, 2, 3]))), "spherical", "`sigma` must be one number"),
        (Prior(covariances=InverseWishart(5.0, 1.0)), "VEV", r"'VEV' shares .* Decomposed\(.*received InverseWishart"),
        (Prior(covariances=Decomposed()), "full", "`Decomposed` is for VEI, .*; 'full' takes an InverseWishart"),
        (Prior(covariances=Decomposed(HalfNormal([1, 2, 3]))), "VEE", "`sigma` of the volume of 'VEE' must be one num"),
        (Prior(covariances=Decomposed(shape=LogNormal([1, 2, 3], 1))), "EVE", "`mu` of the shape of 'EVE' must be one"),
        (Prior(covariances=Decomposed(shape=LogNormal([1, 2], 1))), "EVV", r"of the shape of 'EVV' .* shape \(3,\)"),
        (Prior(covariances=InverseWishart(5.0, RandomScale())), "full", "`rate` must be given here"),
        (Prior(covariances=InverseWishart(5.0, RandomScale(1.0, 1.0))), "tied", "`shape` must be more than 1 for 'tie"),
        (Prior(covariances=InverseWishart(5.0, RandomScale(2.0, COVARIANCE))), "EEI", "`rate` has off-diagonal el"),
    ],
)
def test_numbers_that_do_not_fit_the_data_are_refused_by_name(prior, family, message):
    with pytest.raises(PriorError, match=message):
        prior.resolve(DATA, 2, family)


def test_every_kind_is_known_to_json():
    assert set(priors.KINDS) == {
        "Dirichlet", "Normal", "InverseWishart", "RandomScale", "LKJ", "Decomposed", "LogNormal", "InverseGamma",
        "HalfNormal", "Beta",
    }  # fmt: skip
