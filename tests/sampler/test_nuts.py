import _thread
import dataclasses
import threading
import time
from types import SimpleNamespace

import arviz as az
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

from bayesgmm.sampler import nuts
from bayesgmm.sampler.log_density import Frame, compile_log_density
from bayesgmm.sampler.native_callback import interpreted
from bayesgmm.sampler.nuts import draw_unconstrained, sample_nuts

MEAN = np.array([1.0, -2.0])
COVARIANCE = np.array([[2.0, 1.2], [1.2, 1.5]])


@pytest.fixture(scope="module")
def gaussian() -> pm.Model:
    with pm.Model() as model:
        x = pm.MvNormal("x", mu=MEAN, cov=COVARIANCE)
        pm.Deterministic("square", x**2)
        pm.LogNormal("scale", 0.0, 0.5)
    return model


@pytest.fixture(scope="module")
def density(gaussian):
    return compile_log_density(gaussian)


def starts(chains: int, size: int = 3) -> np.ndarray:
    return np.random.default_rng(8).normal(size=(chains, size))


def test_moments_of_a_correlated_gaussian(gaussian, density):
    result = sample_nuts(gaussian, draws=1000, tune=500, random_seed=1, progressbar=False, log_density=density)
    x = result.posterior["x"]
    assert x.shape == (4, 1000, 2)
    centred = x - MEAN
    statistics = {
        "mean": x,
        "product": centred[..., [0, 0, 1]] * centred[..., [0, 1, 1]],
        "log_scale": np.log(result.posterior["scale"]),
    }
    exact = {"mean": MEAN, "product": COVARIANCE[[0, 0, 1], [0, 1, 1]], "log_scale": 0.0}
    dataset = xr.Dataset({name: (("chain", "draw", f"{name}_dim")[: v.ndim], v) for name, v in statistics.items()})
    error = az.mcse(dataset)
    for name, value in exact.items():
        z = (dataset[name].mean(("chain", "draw")) - value) / error[name]
        assert np.all(np.abs(z) < 4.5)  # six numbers, each 4.5 standard errors: 4e-5 by chance
    np.testing.assert_array_equal(result.posterior["square"], x**2)


def test_a_frame_leaves_the_posterior_as_it_is_and_starts_where_it_is_told(gaussian, density):
    rng = np.random.default_rng(9)
    # neither the posterior's mean nor its covariance: any frame will do
    frame = Frame(rng.normal(size=3), np.tril(0.3 * rng.normal(size=(3, 3)), -1) + np.diag([0.5, 2.0, 1.1]))
    settings = {"draws": 1000, "tune": 500, "random_seed": 1, "progressbar": False, "log_density": density}
    framed = sample_nuts(gaussian, initial_points=starts(4), frames=[frame, frame, None, frame], **settings)
    values = framed.posterior["x"]
    dataset = xr.Dataset({"mean": (("chain", "draw", "i"), values), "square": (("chain", "draw", "i"), values**2)})
    exact = {"mean": MEAN, "square": np.diag(COVARIANCE) + MEAN**2}
    for name, value in exact.items():
        z = (dataset[name].mean(("chain", "draw")) - value) / az.mcse(dataset)[name]
        assert np.all(np.abs(z) < 4.5)  # four numbers
    lp = [density(x)[0] for x in framed.unconstrained[0, :50]]
    np.testing.assert_allclose(framed.sample_stats["lp"][0, :50], lp, rtol=1e-9)
    with pytest.raises(ValueError, match="`frames` has 1 items for 4 chains"):
        sample_nuts(gaussian, initial_points=starts(4), frames=[frame], **settings)


def test_statistics_bear_the_names_of_the_schema(gaussian, density):
    result = sample_nuts(gaussian, draws=20, tune=50, chains=2, random_seed=1, progressbar=False, log_density=density)
    assert set(result.sample_stats) >= {
        "diverging", "energy", "tree_depth", "n_steps", "acceptance_rate", "lp", "step_size",
    }  # fmt: skip
    assert all(value.shape == (2, 20) for value in result.sample_stats.values())
    assert result.sample_stats["diverging"].dtype == bool
    lp = [[density(x)[0] for x in chain] for chain in result.unconstrained]
    np.testing.assert_allclose(result.sample_stats["lp"], lp, rtol=1e-12)
    assert set(result.timings) == {"graph", "compile", "sampling", "constrain"}
    assert not result.interrupted
    assert result.chains == (0, 1)


def test_each_chain_starts_exactly_at_its_own_row(density):
    visited = []

    def recording(x, *data):
        visited.append(x.copy())
        return density.function(x, *data)

    recorded = dataclasses.replace(
        density, compiled=interpreted(recording, density.data)._replace(function=density.function)
    )
    for chain, start in enumerate(starts(3)):
        visited.clear()
        draw_unconstrained(recorded, starts(3)[chain:], draws=1, tune=1, cores=1, random_seed=2, progressbar=False)
        np.testing.assert_array_equal(visited[0], start)


def test_same_seed_same_draws_whatever_the_number_of_cores(density):
    def run(cores, seed=3):
        return draw_unconstrained(
            density, starts(3), draws=50, tune=50, cores=cores, random_seed=seed, progressbar=False
        ).values

    one = run(1)
    np.testing.assert_array_equal(one, run(2))
    np.testing.assert_array_equal(one, run(3))
    assert not np.array_equal(one, run(1, seed=4))
    assert not np.array_equal(one[0], one[1])


def test_log_density_that_is_not_finite_in_places_is_a_divergence_not_an_error():
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=2)
        # Half of the plane: −inf beyond 0.5, NaN below −3.
        pm.Potential("edge", pt.switch(x[0] > 0.5, -np.inf, pt.sqrt(x[0] + 3)))
    result = sample_nuts(
        model, initial_points=np.full((2, 2), 0.1), draws=200, tune=200, random_seed=5, progressbar=False
    )
    assert result.sample_stats["diverging"].any()
    assert np.all(np.isfinite(result.sample_stats["lp"]))
    assert result.posterior["x"][..., 0].max() <= 0.5
    assert np.ptp(result.posterior["x"][..., 1]) > 1


def test_starts_are_checked(density):
    with pytest.raises(ValueError, match=r"shape \(2, 2\); expected \(chains, 3\)"):
        draw_unconstrained(density, np.zeros((2, 2)), draws=5, tune=5)
    with pytest.raises(ValueError, match="not finite at the start of chain 1"):
        draw_unconstrained(density, np.array([[0.1] * 3, [np.inf] * 3]), draws=5, tune=5)
    with pytest.raises(ValueError, match="chain 0 is exactly zero in 1 coordinates"):
        draw_unconstrained(density, np.zeros((1, 3)), draws=5, tune=5)
    with pytest.raises(ValueError, match="`draws` is 0"):
        draw_unconstrained(density, np.zeros((2, 3)), draws=0, tune=5)


def interrupt_when(reached, timeout: float = 20.0) -> None:
    """Press Ctrl-C once `reached()` holds."""

    def wait():
        until = time.monotonic() + timeout
        while not reached() and time.monotonic() < until:
            time.sleep(0.005)
        _thread.interrupt_main()

    threading.Thread(target=wait, daemon=True).start()


def slow(density, delay: float):
    """A density whose every evaluation takes `delay` seconds, and the count of them."""
    count = []

    def function(x, *data):
        count.append(1)
        time.sleep(delay)
        return density.function(x, *data)

    slowed = interpreted(function, density.data)._replace(function=density.function)
    return dataclasses.replace(density, compiled=slowed), count


def test_interrupt_keeps_the_draws_common_to_the_chains(density):
    slowed, count = slow(density, 0.001)
    interrupt_when(lambda: len(count) > 600)
    draws = draw_unconstrained(slowed, starts(2), draws=10**6, tune=5, cores=2, random_seed=6, progressbar=False)
    assert draws.interrupted
    assert draws.chains == (0, 1)
    length = draws.values.shape[1]
    assert 0 < length < 10**6
    complete = draw_unconstrained(density, starts(2), draws=length, tune=5, random_seed=6, progressbar=False)
    assert complete.values.shape == draws.values.shape
    assert all(value.shape == (2, length) for value in draws.sample_stats.values())


def test_interrupt_before_any_draw_is_an_interrupt(density):
    slowed, count = slow(density, 0.001)
    interrupt_when(lambda: len(count) > 50)
    with pytest.raises(KeyboardInterrupt):
        draw_unconstrained(slowed, starts(2), draws=10, tune=10**6, cores=2, random_seed=7, progressbar=False)


def test_largest_block_of_common_draws():
    assert nuts._largest_block({0: 10, 1: 8, 2: 9}) == ((0, 1, 2), 8)
    assert nuts._largest_block({0: 1000, 1: 1000, 2: 3}) == ((0, 1), 1000)
    assert nuts._largest_block({0: 100, 1: 30, 2: 0}) == ((0, 1), 30)
    assert nuts._largest_block({0: 100, 1: 100, 2: 50, 3: 50}) == ((0, 1, 2, 3), 50)
    assert nuts._largest_block({0: 10, 1: 0}) == ((0,), 10)
    assert nuts._largest_block({0: 0, 1: 0}) is None


def test_what_nutpie_says_of_each_chain_is_added_up():
    reports, told = nuts._Reports(3), []
    for chain, draws, divergences in ((0, 10, 1), (2, 5, 0), (0, 12, 4)):
        reports.of(chain)([SimpleNamespace(finished_draws=draws, divergences=divergences)])
        reports.tell(lambda more, what: told.append((more, what)))
    assert [more for more, _ in told] == [10, 5, 2]
    assert told[-1][1] == "Sampling 3 chains, 4 divergences"


def test_no_bar_off_a_terminal(density, capfd):
    draw_unconstrained(density, starts(2), draws=5, tune=5, random_seed=1, progressbar=True)
    assert capfd.readouterr() == ("", "")
