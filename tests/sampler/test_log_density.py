import ctypes
import threading

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.raise_op import Assert

from bayesgmm.sampler.log_density import Frame, LogDensity, compile_log_density
from bayesgmm.sampler.native_callback import Callback, copy_callback, interpreted

LOGP = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)

# NumPy only: PyTensor warns when it looks for a BLAS to compile against.
INTERPRETED = Mode(linker="py", optimizer="fast_compile")


def call(callback: Callback, x: np.ndarray, settings: np.ndarray) -> tuple[int, float, np.ndarray]:
    value, gradient = np.zeros(1), np.zeros_like(x)
    pointers = (array.ctypes.data for array in (x, gradient, value, settings))
    code = LOGP(callback.address)(x.size, *pointers)
    return code, value[0], gradient


def native(density: LogDensity, x: np.ndarray) -> tuple[int, float, np.ndarray]:
    return call(density.callback, x, density.settings)


def through_python(density: LogDensity, x: np.ndarray) -> tuple[int, float, np.ndarray]:
    return call(interpreted(density.function, density.data).callback, x, density.settings)


def regression(covariate: np.ndarray, outcome: np.ndarray, prior_sd: float = 3.7) -> pm.Model:
    with pm.Model() as model:
        shared = pm.Data("covariate", covariate)
        offset = pytensor.shared(0.3, name="offset")
        slope = pm.Normal("slope", 0.1, prior_sd, shape=2)
        noise = pm.LogNormal("noise", np.log(outcome.std()), 0.8)
        pm.Normal("outcome", shared @ slope + offset, noise, observed=outcome)
    return model


@pytest.fixture(scope="module")
def model() -> pm.Model:
    rng = np.random.default_rng(1)
    return regression(rng.normal(size=(50, 2)), rng.normal(size=50))


@pytest.fixture(scope="module")
def density(model):
    return compile_log_density(model)


def test_native_callback_equals_the_function_called_from_python_and_pymc(model, density):
    pymc_function = model.compile_fn([model.logp(), model.dlogp()], mode=INTERPRETED)
    for x in np.random.default_rng(2).normal(size=(5, 3)):
        code, value, gradient = native(density, x)
        assert code == 0
        assert (code, value) == through_python(density, x)[:2]
        np.testing.assert_array_equal(gradient, through_python(density, x)[2])
        pymc_value, pymc_gradient = pymc_function(density.space.split(x))
        np.testing.assert_allclose(value, pymc_value, rtol=1e-12)
        np.testing.assert_allclose(gradient, pymc_gradient, rtol=1e-9, atol=1e-9)
        assert density(x)[0] == value


def test_numbers_of_the_model_are_arguments_so_other_data_of_the_shape_hit_the_same_cache(model, density):
    rng = np.random.default_rng(3)
    other = compile_log_density(regression(rng.normal(size=(50, 2)) * 7, rng.normal(size=50) * 5, prior_sd=11.3))
    assert other.compiled is density.compiled
    x = np.array([0.3, -0.2, 0.4])
    assert native(other, x)[1] == other(x)[0] != density(x)[0]


def test_shared_arrays_are_passed_without_a_copy(model, density):
    stored = model["covariate"].get_value(borrow=True)
    assert any(np.shares_memory(array, stored) for array in density.data)


def test_data_in_any_memory_layout_and_a_single_argument_type():
    matrix = np.asfortranarray(np.random.default_rng(4).normal(size=(6, 4)))[::2]
    with pm.Model() as model:
        mean = pytensor.shared(matrix, borrow=True)
        x = pm.Flat("x", shape=4)
        pm.Potential("distance", -0.5 * pt.sum((x - mean) ** 2))
    density = compile_log_density(model)
    x = np.arange(4.0)
    code, value, gradient = native(density, x)
    assert code == 0
    np.testing.assert_allclose(value, -0.5 * ((x - matrix) ** 2).sum())
    np.testing.assert_allclose(gradient, (matrix - x).sum(0))


def test_a_model_without_data():
    with pm.Model() as model:
        pm.Normal("x")
    code, value, gradient = native(compile_log_density(model), np.array([2.0]))
    assert code == 0
    np.testing.assert_allclose([value, gradient[0]], [-2.0 - 0.5 * np.log(2 * np.pi), -2.0])


def test_failures_are_positive_codes_from_both_callbacks():
    with pm.Model() as model:
        x = pm.Flat("x", shape=2)
        checked = Assert("x too large")(x[0], x[0] < 10)
        pm.Potential("target", pt.log(checked) + pt.switch(x[1] > 3, -np.inf, -(x[1] ** 2)))
    density = compile_log_density(model)
    # Fine; log(0); log(−1); the switch; the Assert raises.
    for x, expected in (([1.0, 1.0], 0), ([0.0, 1.0], 4), ([-1.0, 1.0], 4), ([1.0, 4.0], 4), ([20.0, 0.0], 1)):
        assert [way(density, np.array(x))[0] for way in (native, through_python)] == [expected] * 2, x


def test_native_callback_runs_on_several_threads_at_once(density):
    points = np.random.default_rng(5).normal(size=(4, 3))
    expected = [native(density, x)[1] for x in points]
    wrong = []

    def work(x, value):
        wrong.extend(1 for _ in range(500) if native(density, x)[1] != value)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(points, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_copy_callback_copies():
    x, out = np.arange(3.0), np.zeros(3)
    copy = copy_callback()
    assert LOGP(copy.address)(3, 3, x.ctypes.data, out.ctypes.data, None) == 0
    np.testing.assert_array_equal(x, out)


def test_a_frame_is_a_change_of_coordinates_from_every_side(density):
    rng = np.random.default_rng(6)
    frame = Frame(rng.normal(size=3), np.tril(rng.normal(size=(3, 3)), -1) + np.diag([0.3, 2.0, 1.1]))
    framed = density.within(frame)
    points = rng.normal(size=(4, 3))
    np.testing.assert_allclose(frame.to_z(frame.to_x(points)), points, rtol=1e-12)
    values, gradients = framed.at_many(points)
    for z, value, gradient in zip(points, values, gradients, strict=True):
        plain_value, plain_gradient = density(frame.centre + frame.factor @ z)
        np.testing.assert_allclose(value, plain_value, rtol=1e-12)
        np.testing.assert_allclose(gradient, frame.factor.T @ plain_gradient, rtol=1e-9)
        np.testing.assert_allclose(framed(z)[1], gradient, rtol=1e-9)
        slow = through_python(framed, z)
        np.testing.assert_allclose(slow[1], value, rtol=1e-12)
        np.testing.assert_allclose(slow[2], gradient, rtol=1e-9)


def test_points_where_the_density_fails_are_minus_infinity_among_the_others():
    with pm.Model() as model:
        x = pm.Flat("x", shape=2)
        pm.Potential("target", pt.log(x[0]) - x[1] ** 2)
    values, gradients = compile_log_density(model).at_many(np.array([[1.0, 2.0], [-1.0, 0.0], [np.e, 0.0]]))
    np.testing.assert_allclose(values, [-4.0, -np.inf, 1.0])
    assert np.isnan(gradients[1]).all() and np.isfinite(gradients[[0, 2]]).all()
