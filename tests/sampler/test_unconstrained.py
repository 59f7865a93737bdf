import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from bayesgmm.sampler import unconstrained
from bayesgmm.sampler.unconstrained import (
    constrain_draws,
    initial_vector,
    unconstrained_point,
    unconstrained_points,
    unconstrained_space,
)

# NumPy only: PyTensor warns when it looks for a BLAS to compile against.
INTERPRETED = Mode(linker="py", optimizer="fast_compile")


@pytest.fixture(scope="module")
def model() -> pm.Model:
    with pm.Model(coords={"component": range(3), "feature": ["a", "b"]}) as model:
        weights = pm.Dirichlet("weights", np.ones(3), dims="component")
        means = pm.Normal("means", 0, 2, dims=("component", "feature"))
        scale = pm.HalfNormal("scale", 1.0, dims="feature")
        upper = pm.Gamma("upper", 2, 1)
        pm.Uniform("inside", 0, upper)
        cholesky, *_ = pm.LKJCholeskyCov("cholesky", n=2, eta=2, sd_dist=pm.LogNormal.dist(0, 1, shape=2))
        pm.Deterministic("covariance", cholesky @ cholesky.T)
        pm.Deterministic("inverse", pt.linalg.inv(cholesky))
        pm.Deterministic("centre", weights @ means, dims="feature")
        pm.Deterministic("total", pt.sum(scale))
        pm.Deterministic("fixed", pt.constant([1.5, 2.5]))
    return model


@pytest.fixture(scope="module")
def vectors(model) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, unconstrained_space(model).size))


def pymc_values(model, vector: np.ndarray) -> dict[str, np.ndarray]:
    names = [v.name for v in (*model.free_RVs, *model.deterministics)]
    outputs = [v for v in model.unobserved_value_vars if v.name in names]
    function = model.compile_fn(outputs, mode=INTERPRETED, inputs=model.value_vars, on_unused_input="ignore")
    values = function(unconstrained_space(model).split(vector))
    return dict(zip([v.name for v in outputs], values, strict=True))


def test_space_cuts_the_vector_into_the_value_variables(model):
    space = unconstrained_space(model)
    point = dict(zip([value.name for value in model.value_vars], unconstrained._initial_parts(model), strict=True))
    assert space.names == tuple(point)
    assert space.shapes == tuple(value.shape for value in point.values())
    assert space.size == sum(value.size for value in point.values())
    np.testing.assert_array_equal(initial_vector(model), np.concatenate([np.ravel(v) for v in point.values()]))
    parts = space.split(np.arange(2.0 * space.size).reshape(2, -1))
    assert parts["means"].shape == (2, 3, 2)
    np.testing.assert_array_equal(parts["means"][0].ravel(), np.arange(2.0, 8.0))


def test_all_draws_at_once_equal_pymc_draw_by_draw(model, vectors):
    many = constrain_draws(model, vectors)
    assert set(many) == {v.name for v in (*model.free_RVs, *model.deterministics)}
    for chain, draw in ((0, 0), (1, 3)):
        one = pymc_values(model, vectors[chain, draw])
        for name, value in one.items():
            assert many[name].shape == (2, 5, *value.shape)
            np.testing.assert_allclose(many[name][chain, draw], value, rtol=1e-10, atol=1e-12)


def test_graph_that_does_not_vectorise_runs_draw_by_draw(model, vectors, monkeypatch):
    expected = constrain_draws(model, vectors)
    for replacement in (
        lambda *_: None,
        lambda *_: [value.reshape(10, *value.shape[2:]) + 1 for value in expected.values()],
    ):
        monkeypatch.setattr(unconstrained, "_vectorised", replacement)
        for name, value in constrain_draws(model, vectors).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-10)


def test_unconstrained_point_is_the_inverse_of_constraining(model, vectors):
    values = {name: value[1, 2] for name, value in constrain_draws(model, vectors).items()}
    np.testing.assert_allclose(unconstrained_point(model, values), vectors[1, 2], rtol=1e-8, atol=1e-10)


def test_many_points_are_mapped_as_one_is(model, vectors):
    draws = constrain_draws(model, vectors[0])
    points = [{name: value[s] for name, value in draws.items()} for s in range(5)]
    np.testing.assert_allclose(unconstrained_points(model, points), vectors[0], rtol=1e-8, atol=1e-10)


def test_unconstrained_point_says_what_is_wrong(model, vectors):
    values = {name: value[0, 0] for name, value in constrain_draws(model, vectors).items()}
    with pytest.raises(ValueError, match=r"`point\['scale'\]` .* edge of its support"):
        unconstrained_point(model, values | {"scale": np.array([0.0, 1.0])})
    with pytest.raises(ValueError, match="no value for weights"):
        unconstrained_point(model, {name: value for name, value in values.items() if name != "weights"})


def test_discrete_and_empty_models_are_refused():
    with pm.Model() as discrete:
        pm.Poisson("count", 3)
    with pytest.raises(ValueError, match="count is discrete"):
        unconstrained_space(discrete)
    with pytest.raises(ValueError, match="no free random variable"):
        unconstrained_space(pm.Model())
