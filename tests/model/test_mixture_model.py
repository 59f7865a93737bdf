"""The PyMC model: its log density is that of `pm.Mixture`, and PyMC's own verbs work on it."""

import numpy as np
import pymc as pm
import pytensor
import pytest
from numpy.testing import assert_allclose
from pytensor.compile.mode import Mode, get_mode
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.data.observations import DataError, as_observations
from bayesgmm.em.families import FAMILIES as EVERY_FAMILY
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.likelihood import MixtureLogLikelihood
from bayesgmm.model.mixture_model import mixture_model, resolved_prior, specification
from bayesgmm.model.points import starting_point
from bayesgmm.priors import (
    LKJ,
    HalfNormal,
    InverseGamma,
    InverseWishart,
    LogNormal,
    Normal,
    Prior,
    PriorError,
    RandomScale,
)
from bayesgmm.sampler.log_density import compile_log_density
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_point, unconstrained_space
from tests.support.incomplete_cases import CASES, incomplete_rows
from tests.support.incomplete_cases import mixture as incomplete_mixture
from tests.support.reference import INTERPRETED, pymc_mixture_model, random_covariances

FAMILIES = ("full", "tied", "diag", "spherical")
DECOMPOSED = tuple(name for name, family in EVERY_FAMILY.items() if not family.linear)
PRIORS = {
    "inverse-Wishart": Prior(),
    "LKJ log-normal": Prior(covariances=LKJ(2.0, sd=LogNormal(0.2, 0.7))),
    "LKJ inverse-gamma": Prior(covariances=LKJ(0.7, sd=InverseGamma(2.0, 1.5))),
    "LKJ half-normal": Prior(covariances=LKJ(1.0, sd=HalfNormal(2.0))),
}


def log_density(model):
    """Log density at an unconstrained vector, without a compiler."""
    names = unconstrained_space(model).names
    run = pytensor.function(model.value_vars, model.logp(), mode=INTERPRETED)
    order = [names.index(value.name) for value in model.value_vars]

    def evaluate(vector):
        parts = list(unconstrained_space(model).split(vector).values())
        return float(run(*(parts[i] for i in order)))

    return evaluate


def rows(rng, N, D):
    return rng.normal(size=(N, D)) @ (np.eye(D) + 0.3) * np.arange(1, D + 1) + np.where(rng.random((N, 1)) < 0.4, 3, 0)


def random_mixture(rng, family, K, D):
    return MixtureParameters.from_covariances(
        rng.dirichlet(np.full(K, 3.0)), rng.normal(size=(K, D)), random_covariances(rng, family, K, D)
    )


SIZES = ((1, 1), (1, 2), (3, 1), (2, 3))
# every family with every prior, and both with every size: a Latin square
SQUARE = [(f, p, *SIZES[(i + j) % 4]) for i, f in enumerate(FAMILIES) for j, p in enumerate(PRIORS)]


@pytest.mark.parametrize(("family", "prior", "K", "D"), SQUARE)
def test_log_density_is_that_of_pymcs_mixture_with_the_same_priors(rng, family, prior, K, D):
    X = rows(rng, 40, D)
    model = mixture_model(X, K, covariance_type=family, prior=PRIORS[prior])
    ours, theirs = log_density(model), log_density(pymc_mixture_model(X, specification(model)))
    for _ in range(3):
        vector = 0.7 * rng.normal(size=unconstrained_space(model).size)
        assert_allclose(ours(vector), theirs(vector), rtol=1e-8)


@pytest.mark.parametrize(("family", "D"), [*((family, 3) for family in (*DECOMPOSED, "EII", "EEI")), ("VVE", 1)])
def test_log_density_of_shared_volumes_and_shapes_is_that_of_pymcs_mixture(rng, family, D):
    X = rows(rng, 40, D)
    model = mixture_model(X, 2, covariance_type=family)
    vector = 0.7 * rng.normal(size=unconstrained_space(model).size)
    theirs = log_density(pymc_mixture_model(X, specification(model)))
    assert_allclose(log_density(model)(vector), theirs(vector), rtol=1e-8)


@pytest.mark.parametrize(("family", "prior", "K", "D"), SQUARE)
def test_starting_point_is_the_mixture_it_was_given(rng, family, prior, K, D):
    model = mixture_model(rows(rng, 40, D), K, covariance_type=family, prior=PRIORS[prior])
    mixture = random_mixture(rng, family, K, D)
    start = starting_point(model, mixture)
    assert set(start) == {variable.name for variable in model.free_RVs}
    values = constrain_draws(model, unconstrained_point(model, start)[None])
    for name in ("weights", "means", "covariances"):
        assert_allclose(values[name][0], getattr(mixture, name), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_default_posterior_follows_shift_and_scale(rng, family, scale):
    X = rows(rng, 60, 2)
    a = np.full(2, scale) if family == "spherical" else scale * np.array([1.0, 20.0])
    before = log_density(mixture_model(X, 2, covariance_type=family))
    moved = mixture_model(a * (X + 5.0), 2, covariance_type=family)
    after = log_density(moved)
    for _ in range(3):
        vector = rng.normal(size=unconstrained_space(moved).size)
        # The same unconstrained vector is the same mixture in other units: the density of N rows is divided by their
        # units, and the prior, in coordinates without unit, is what it was.
        assert_allclose(after(vector), before(vector) - 60 * np.log(a).sum(), rtol=1e-9)


@pytest.mark.parametrize("family", DECOMPOSED)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_default_volumes_follow_shift_and_scale(rng, family, scale):
    X = rows(rng, 60, 2)
    a = scale * np.array([1.0, 20.0]) if family in ("VEI", "EVI", "VEE", "EVV") else np.full(2, scale)
    model, moved = (mixture_model(data, 2, covariance_type=family) for data in (X, a * (X + 5.0)))
    space = unconstrained_space(moved)
    vector = rng.normal(size=space.size)
    shifted = {name: part.copy() for name, part in space.split(vector).items()}
    # the volume keeps the units of the data: its logarithm moves by theirs, all else is the same point
    shifted["volume_root_log__"] = shifted["volume_root_log__"] + np.log(a).mean()
    there = np.concatenate([np.ravel(part) for part in shifted.values()])
    assert_allclose(log_density(moved)(there), log_density(model)(vector) - 60 * np.log(a).sum(), rtol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_default_density_vanishes_on_rows_that_repeat_and_half_normal_does_not(rng, family):
    X = np.r_[np.full((15, 1), 83.0), 70 + 10 * rng.normal(size=(100, 1))]

    def at_a_spike(prior, sd):
        model = mixture_model(X, 2, covariance_type=family, prior=prior)
        variances = np.full(2, sd**2) if family == "tied" else np.array([sd**2, 100.0])
        spike = MixtureParameters.from_covariances([0.3, 0.7], [[83.0], [70.0]], variances[:, None, None])
        return log_density(model)(unconstrained_point(model, starting_point(model, spike)))

    default = [at_a_spike(None, sd) for sd in (1e-1, 1e-2, 1e-3)]
    assert default[2] < default[1] - 1e4 < default[0] - 1e4
    model = mixture_model(X, 2, covariance_type="VEV")
    found = []
    for sd in (1e-2, 1e-6, 1e-12):
        variances = np.array([sd**2, 100.0])
        spike = MixtureParameters.from_covariances([0.3, 0.7], [[83.0], [70.0]], variances[:, None, None])
        found.append(log_density(model)(unconstrained_point(model, starting_point(model, spike))))
    # log-normal: sooner or later faster than any power, but later than the inverse gamma
    assert found[2] < found[1] - 50
    if family != "tied":
        half_normal = Prior(covariances=LKJ(1.0, sd=HalfNormal(10.0)))
        assert at_a_spike(half_normal, 1e-6) > at_a_spike(half_normal, 1e-3) > at_a_spike(half_normal, 1e-1)


def test_row_weights_multiply_the_log_likelihood(rng):
    X, w = rows(rng, 30, 2), rng.integers(0, 4, 30)
    prior = Prior(means=Normal(0.0, 5.0), covariances=InverseWishart(4.0, 1.0))
    weighted = log_density(mixture_model(as_observations(X, weights=w), 2, prior=prior))
    repeated = log_density(mixture_model(np.repeat(X, w, axis=0), 2, prior=prior))
    vector = rng.normal(size=11)
    assert_allclose(weighted(vector), repeated(vector), rtol=1e-12)


def test_set_data_takes_any_number_of_rows(rng):
    X, other = rows(rng, 30, 2), 1e4 + rows(rng, 75, 2)
    prior = Prior(means=Normal(0.0, 5.0), covariances=InverseWishart(4.0, 1.0))
    model = mixture_model(X, 2, prior=prior)
    density, vector = log_density(model), rng.normal(size=11)
    before = density(vector)
    with model:
        pm.set_data({"x_data": other})
    assert density(vector) != before
    assert_allclose(density(vector), log_density(mixture_model(other, 2, prior=prior))(vector), rtol=1e-12)


def test_names_dimensions_and_coordinates_are_the_contract(rng):
    import pandas as pd

    X = pd.DataFrame(rows(rng, 20, 2), columns=["duration", "waiting"])
    model = mixture_model(X, 3)
    assert model.named_vars_to_dims["weights"] == ("component",)
    assert model.named_vars_to_dims["means"] == ("component", "feature")
    assert model.named_vars_to_dims["covariances"] == ("component", "feature", "feature_bis")
    assert model.named_vars_to_dims["x"] == ("obs_id", "feature")
    assert list(model.coords["component"]) == [0, 1, 2]
    assert list(model.coords["feature"]) == list(model.coords["feature_bis"]) == ["duration", "waiting"]
    assert [variable.name for variable in model.deterministics] == ["covariances"]
    assert not any(model.rvs_to_initial_values.values())
    assert resolved_prior(model) == Prior().resolve(as_observations(X), 3, "full")


def test_a_potential_may_use_the_covariances(rng):
    model = mixture_model(rows(rng, 20, 2), 2)
    vector = rng.normal(size=unconstrained_space(model).size)
    before = log_density(model)(vector)
    with model:
        potential = pm.Potential("small", -model["covariances"].sum())
    assert_allclose(log_density(model)(vector) - before, -constrain_draws(model, vector[None])["covariances"].sum())
    (potential_of_values,) = model.replace_rvs_by_values([potential])
    gradient = pytensor.grad(potential_of_values, model.rvs_to_values[model["bartlett_diagonal"]])
    assert gradient.type.shape == (2, 2)


@pytest.fixture(scope="module")
def sampled():
    """A model with what PyMC's verbs make of it, compiled once for the tests below."""
    rng = np.random.default_rng(3)
    X = np.r_[rng.normal(size=(60, 1)), 8 + 2 * rng.normal(size=(90, 1))]
    model = mixture_model(X, 2)
    with model:
        prior = pm.sample_prior_predictive(500, random_seed=1)
        tree = pm.sample(
            300, tune=300, chains=2, random_seed=1, progressbar=False, quiet=True, compute_convergence_checks=False
        )
        pm.sample_posterior_predictive(tree, random_seed=1, progressbar=False, extend_inferencedata=True)
    return model, X, prior, tree


def test_prior_predictive_has_the_prior_mean_and_variance(sampled):
    model, X, prior, _ = sampled
    x, means = prior.prior_predictive["x"].values[0, ..., 0], prior.prior["means"].values
    resolved = resolved_prior(model)
    # k = 5 standard errors over 500 datasets
    assert abs(means.mean() - X.mean()) < 5 * resolved.means.sigma[0] / np.sqrt(1000)
    assert x.shape == (500, 150)
    means_of_data = x.mean(axis=1)
    assert abs(means_of_data.mean() - X.mean()) < 5 * means_of_data.std() / np.sqrt(500)


def test_pymc_samples_it_and_finds_the_components(sampled):
    _, X, _, tree = sampled
    means = np.sort(tree.posterior["means"].values[..., 0], axis=-1)
    # Posterior sd of the two means: about 1 / sqrt(60) and 2 / sqrt(90)
    assert_allclose(means.mean(axis=(0, 1)), [X[:60].mean(), X[60:].mean()], atol=0.3)
    assert not tree.sample_stats["diverging"].any()
    replicated = tree.posterior_predictive["x"].values[..., 0]
    assert replicated.shape == (2, 300, 150)
    assert_allclose(replicated.mean(), X.mean(), atol=0.5)
    assert_allclose(replicated.std(axis=-1).mean(), X.std(), rtol=0.1)


@pytest.mark.parametrize(
    ("family", "prior"),
    [
        ("full", None),
        ("tied", PRIORS["LKJ log-normal"]),
        ("full", Prior(covariances=InverseWishart(5.0, RandomScale()))),
        ("VVE", None),
    ],
)
def test_value_and_gradient_have_one_pass(rng, family, prior):
    """After the rewrites of the compiled form; nothing is compiled."""
    model = mixture_model(rows(rng, 40, 2), 2, covariance_type=family, prior=prior)
    outputs = [model.logp(), *pytensor.grad(model.logp(), model.value_vars)]
    mode = Mode(linker="py", optimizer=get_mode("NUMBA").provided_optimizer)
    with pytensor.config.change_flags(cxx=""):
        nodes = pytensor.function(model.value_vars, outputs, mode=mode).maker.fgraph.apply_nodes
    assert sum(isinstance(node.op, MixtureLogLikelihood) for node in nodes) == 1


@pytest.mark.parametrize("family", ["full", "VEV"])
def test_compiled_value_and_gradient_agree_with_the_interpreted(rng, family):
    """The plainest family and one with rotations; the graph of every family has its gradient tested uncompiled."""
    model = mixture_model(rows(rng, 40, 2), 2, covariance_type=family)
    size = unconstrained_space(model).size
    vector, interpreted = rng.normal(size=size), log_density(model)
    value, gradient = compile_log_density(model)(vector)
    assert_allclose(value, interpreted(vector), rtol=1e-10)
    differences = [(interpreted(vector + h) - interpreted(vector - h)) / 2e-5 for h in 1e-5 * np.eye(size)]
    assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.max(np.abs(differences)))


def test_random_rows_are_those_of_the_mixture(rng):
    model = mixture_model(rows(rng, 4000, 2), 2)
    mixture = random_mixture(rng, "full", 2, 2)
    x = pm.draw(pm.do(model, starting_point(model, mixture))["x"], mode=INTERPRETED, random_seed=rng)
    expected = mixture.weights @ mixture.means
    spread = mixture.means - expected
    covariance = np.einsum("k,kij->ij", mixture.weights, mixture.covariances + spread[:, :, None] * spread[:, None, :])
    # k = 5 standard errors
    assert np.all(np.abs(x.mean(axis=0) - expected) < 5 * np.sqrt(np.diagonal(covariance) / 4000))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "`n_components` must be an integer of at least 1; received 0"),
        ({"n_components": 2.5}, ValueError, "`n_components` must be an integer"),
        ({"covariance_type": "round"}, ValueError, "`covariance_type` must be one of .* received 'round'"),
        ({"X": [[1.0, np.inf], [2.0, 3.0], [4.0, 5.0]]}, DataError, "infinity"),
        ({"n_components": 30}, DataError, "n_components=30"),
        ({"prior": Prior(means=Normal([0, 0, 0], 1))}, PriorError, "`mu` of the means"),
    ],
)
def test_what_cannot_be_a_model_is_refused_by_name(rng, arguments, error, message):
    with pytest.raises(error, match=message):
        mixture_model(**({"X": rows(rng, 20, 2), "n_components": 2} | arguments))


def test_pymcs_prior_predictive_and_potentials_work_on_oriented_families(rng):
    model = mixture_model(rows(rng, 20, 2), 2, covariance_type="VEV")
    with model:
        pm.Potential("small", -model["covariances"].sum())
    drawn = pm.draw([model["covariances"], model["x"]], 3, mode=INTERPRETED, random_seed=rng)
    assert drawn[0].shape == (3, 2, 2, 2) and drawn[1].shape == (3, 20, 2)
    assert np.isfinite(log_density(model)(np.zeros(unconstrained_space(model).size)))


def test_other_models_have_no_specification():
    with pytest.raises(ValueError, match="not built by `mixture_model`"):
        specification(pm.Model())


def test_a_start_of_another_shape_is_refused(rng):
    model = mixture_model(rows(rng, 20, 2), 2)
    with pytest.raises(ValueError, match=r"means of shape \(2, 2\), received \(3, 2\)"):
        starting_point(model, random_mixture(rng, "full", 3, 2))


def dense_log_likelihood(given, p: MixtureParameters) -> float:
    """Sum over rows of the log density of what is seen, a SciPy normal for each row and component."""
    total, D = 0.0, given.X.shape[1]
    for n, x in enumerate(given.X):
        o = np.flatnonzero(~np.isnan(x))
        E = np.zeros((D, D))
        if given.errors is not None:
            E = given.errors if given.errors.ndim == 1 else given.errors[n]
            E = np.diag(E) if E.ndim == 1 else E
        label = -1 if given.known_labels is None else given.known_labels[n]
        joint = [
            np.log(p.weights[k]) + multivariate_normal.logpdf(x[o], p.means[k, o], (p.covariances[k] + E)[np.ix_(o, o)])
            for k in range(p.n_components)
            if label in (-1, k)
        ]
        total += (1.0 if given.weights is None else given.weights[n]) * logsumexp(joint)
    return total


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("K", "covariance_type"), [(1, "full"), (2, "full"), (2, "diag"), (2, "VEV")])
def test_the_posterior_of_incomplete_rows_is_the_dense_one(rng, case, K, covariance_type):
    """The prior of the plain model, and the likelihood row by row, at random points."""
    given = incomplete_rows(rng, CASES[case], incomplete_mixture(rng, K, 3), 30)
    prior = Prior().resolve(given.observations(), K, covariance_type)
    settings = {"covariance_type": covariance_type, "prior": prior}
    complete = np.nan_to_num(given.X, nan=0.5)
    # the same chart of orientations, from the data in both
    centre = MixtureParameters.from_covariances(
        np.ones(K) / K, np.zeros((K, 3)), np.repeat(np.diag([1, 2, 3.0])[None], K, 0)
    )
    ours = mixture_model(given.X, K, start=centre, **settings, **given.keywords)
    plain = mixture_model(complete, K, start=centre, **settings)
    assert unconstrained_space(ours) == unconstrained_space(plain)
    for _ in range(3):
        vector = 0.3 * rng.normal(size=unconstrained_space(ours).size)
        drawn = constrain_draws(ours, vector[None])
        weights = drawn["weights"] if "weights" in drawn else np.ones((1, 1))
        p = MixtureParameters.from_covariances(weights, drawn["means"], drawn["covariances"])[0]
        whole = given._replace(X=complete, weights=None, errors=None, known_labels=None)
        log_prior = log_density(plain)(vector) - dense_log_likelihood(whole, p)
        assert_allclose(log_density(ours)(vector), log_prior + dense_log_likelihood(given, p), rtol=1e-8)


def test_incomplete_rows_are_a_potential_on_named_data(rng):
    model = mixture_model([[1.0, np.nan], [2.0, 3.0], [np.nan, 5.0], [0.0, 1.0]], 2, known_labels=[0, -1, -1, -1])
    assert [potential.name for potential in model.potentials] == ["x_log_likelihood"] and not model.observed_RVs
    assert specification(model).known_components == (0,)
    assert {"x_rows", "x_seen", "x_components"} <= set(model.named_vars)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": [1.0, -1.0, 1.0]}, "weights must be finite and not negative, received -1.0 in row 1"),
        ({"errors": np.ones((2, 2))}, "received shape"),
        ({"errors": [[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]}, "error variance of column 'x1', row 1, is -1"),
        ({"known_labels": [0, 5, -1]}, "row 1 is known to be of component 5"),
        ({"known_labels": [0, 0, 0]}, "every row has a known component and none is of component 1"),
    ],
)
def test_what_comes_with_the_rows_is_checked_by_name(given, message):
    with pytest.raises(DataError, match=message):
        mixture_model([[1.0, 2.0], [2.0, 3.0], [4.0, 5.0]], 2, **given)


def test_the_range_of_a_random_scale_is_that_of_the_values_there_are():
    """Its default rate goes as one over the squared range: 3 and 1.5 here, hole or not."""
    X = np.array([[1.0, 2.0], [3.0, np.nan], [2.0, 2.5], [0.0, 1.0]])
    prior = Prior(covariances=InverseWishart(5.0, RandomScale()))
    holed = resolved_prior(mixture_model(X, 1, prior=prior)).covariances.scale.rate
    whole = resolved_prior(mixture_model(np.nan_to_num(X, nan=1.5), 1, prior=prior)).covariances.scale.rate
    assert_allclose(holed, whole)
    assert_allclose(np.divide(*np.diagonal(holed)), (1.5 / 3.0) ** 2)
