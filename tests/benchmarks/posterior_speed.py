"""Effective draws per second of the slowest parameter: bayesgmm, `pm.Mixture` under nutpie, NumPyro.

Same data, same priors (Dirichlet, normal means, LKJ with log-normal standard deviations), same number of chains,
warm-up and draws, the same start: the EM fit, to which every tool's draws are aligned. Each runs as its users run it:
`sample_posterior`; `nutpie.compile_pymc_model` and `nutpie.sample`; NumPyro's NUTS with chains in parallel, in
float64. The time of the EM fit is apart. NumPyro lives in an environment of its own:

python tests/benchmarks/posterior_speed.py [--numpyro PYTHON] [--size 1000,2,3] [--tune 1000 --draws 1000 --chains 4]

`--numpyro`, or the variable NUMPYRO_PYTHON, is an interpreter that has NumPyro (`pip install numpyro`).
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import arviz_stats  # noqa: E402
import numpy as np  # noqa: E402
import nutpie  # noqa: E402

import bayesgmm as bg  # noqa: E402
from bayesgmm.mixture.alignment import align  # noqa: E402
from bayesgmm.mixture.parameters import MixtureParameters  # noqa: E402
from bayesgmm.posterior.datatree import meta  # noqa: E402
from tests.support.reference import lkj_mixture_model  # noqa: E402

SIZES = {(1_000, 2, 3): (4, 1000, 1000), (100_000, 10, 10): (2, 60, 40)}
"""Rows, features, components; and chains, warm-up, draws: few where `pm.Mixture` takes 0.3 seconds a gradient."""

WANTED = {(1_000, 2, 3): 5, (100_000, 10, 10): 12}
WANTED_NUMPYRO = 5
MOST_ROWS_TWICE = 50_000
"""NumPyro runs twice, to tell compilation apart, up to this many rows; beyond them its one run has both."""

SEED = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Data, prior, start and settings that all tools share."""

    X: np.ndarray
    prior: bg.Prior
    start: bg.GaussianMixture
    chains: int
    tune: int
    draws: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Draws of one tool, (chain, draw, ...), and where its seconds went."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    compiling: float
    sampling: float


def problem(N: int, D: int, K: int, chains: int, tune: int, draws: int) -> Problem:
    """K correlated clusters, two standard deviations apart in each feature on average."""
    rng = np.random.default_rng(0)
    mixing = np.linalg.cholesky(0.7 * np.eye(D) + 0.3)
    X = rng.normal(size=(N, D)) @ mixing.T + 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]
    sd = X.std(axis=0)
    prior = bg.Prior(
        weights=bg.priors.Dirichlet(1.0),
        means=bg.priors.Normal(X.mean(axis=0), 2 * sd),
        covariances=bg.priors.LKJ(2.0, sd=bg.priors.LogNormal(np.log(sd) - np.log(K) / D, 1.0)),
    )
    began = time.perf_counter()
    start = bg.GaussianMixture(K, n_init=3, random_state=0).fit(X)
    print(f"\nN = {N}, D = {D}, K = {K}; {chains} chains of {tune} + {draws}; EM {time.perf_counter() - began:.1f} s")
    return Problem(X, prior, start, chains, tune, draws)


def ours(given: Problem) -> Outcome:
    """Run `sample_posterior` from the fit."""
    began = time.perf_counter()
    tree = bg.sample_posterior(
        given.X,
        given.start.n_components,
        prior=given.prior,
        start=given.start,
        chains=given.chains,
        tune=given.tune,
        draws=given.draws,
        random_seed=SEED,
        progressbar=False,
    )
    whole = time.perf_counter() - began
    spent = meta(tree)["seconds"]
    compiling = spent["model"] + spent["compilation"]
    drawn = [tree["posterior"][name].values for name in ("weights", "means", "covariances")]
    return Outcome(*drawn, compiling, whole - compiling)


def pymc_mixture(given: Problem) -> Outcome:
    """Run `pm.Mixture` under nutpie, started where ours is."""
    model, values = lkj_mixture_model(given.X, given.start.n_components, given.prior, given.start.parameters_)
    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model, initial_points=values, jitter_rvs=set())
    compiling = time.perf_counter() - began
    began = time.perf_counter()
    tree = nutpie.sample(
        compiled, chains=given.chains, tune=given.tune, draws=given.draws, seed=SEED, progress_bar=False,
        save_warmup=False,
    )  # fmt: skip
    drawn = [tree["posterior"][name].values for name in ("weights", "means", "covariances")]
    return Outcome(*drawn, compiling, time.perf_counter() - began)


def numpyro(given: Problem, python: str, runs: int) -> Outcome:
    """Run NumPyro in its own interpreter: of two runs the second no longer compiles."""
    prior = given.prior.resolve((given.X.mean(axis=0), np.cov(given.X.T)), given.start.n_components, "full")
    fit = given.start.parameters_
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "problem.npz", Path(folder) / "draws.npz"
        np.savez(
            source,
            X=given.X, chains=given.chains, draws=given.draws, tune=given.tune, seed=SEED, runs=runs,
            concentration=prior.weights.concentration, mu=prior.means.mu, sigma=prior.means.sigma,
            eta=prior.covariances.eta, sd_mu=prior.covariances.sd.mu, sd_sigma=prior.covariances.sd.sigma,
            start_weights=fit.weights, start_means=fit.means, start_covariances=fit.covariances,
        )  # fmt: skip
        script = Path(__file__).with_name("_numpyro_mixture.py")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([python, str(script), str(source), str(target)], check=True, env=environment)
        found = dict(np.load(target))
    first, last = found["seconds"][0], found["seconds"][-1]
    compiling = first - last if runs > 1 else float("nan")
    return Outcome(found["weights"], found["means"], found["covariances"], compiling, last)


def smallest_ess(given: Problem, outcome: Outcome) -> tuple[float, str]:
    """Bulk effective draws of the slowest of weights, means and elements of covariances, labels aligned to the fit."""
    drawn = MixtureParameters.from_covariances(outcome.weights, outcome.means, outcome.covariances)
    drawn = drawn.permute(align(drawn, given.start.parameters_).permutation)
    i, j = np.tril_indices(drawn.n_features)
    parts = {"weights": drawn.weights, "means": drawn.means, "covariances": drawn.covariances[..., i, j]}
    flat = {name: value.reshape(*drawn.batch_shape, -1) for name, value in parts.items()}
    slowest = {
        name: min(float(arviz_stats.ess(one, chain_axis=0, draw_axis=1)) for one in np.moveaxis(value, -1, 0))
        for name, value in flat.items()
    }
    name = min(slowest, key=slowest.__getitem__)
    return slowest[name], name


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--numpyro", default=os.environ.get("NUMPYRO_PYTHON"))
    parser.add_argument("--size", type=lambda text: tuple(int(part) for part in text.split(",")))
    for name in ("chains", "tune", "draws"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.numpyro is None:
        print("NumPyro is left out: --numpyro, or NUMPYRO_PYTHON, names an interpreter that has it.")
    for N, D, K in [options.size] if options.size else SIZES:
        settings = SIZES.get((N, D, K), (2, 500, 500))
        asked = (options.chains, options.tune, options.draws)
        chosen = [one or usual for one, usual in zip(asked, settings, strict=True)]
        given = problem(N, D, K, *chosen)
        tools: dict[str, Callable[[], Outcome]] = {
            "bayesgmm": partial(ours, given),
            "pm.Mixture, nutpie": partial(pymc_mixture, given),
        }
        if options.numpyro is not None:
            tools["NumPyro"] = partial(numpyro, given, options.numpyro, 2 if N < MOST_ROWS_TWICE else 1)
        columns = f"{'':<20} {'compile s':>10} {'rest s':>10} {'ESS':>7} {'of':<12} {'ESS/s':>9} {'together':>9}"
        print(f"{columns} {'ratio':>7} {'together':>9}")
        rates = []
        for name, tool in tools.items():
            outcome = tool()
            ess, parameter = smallest_ess(given, outcome)
            whole = np.nansum([outcome.compiling, outcome.sampling])
            rates.append((ess / outcome.sampling, ess / whole))
            ratios = [first / last for first, last in zip(rates[0], rates[-1], strict=True)]
            print(
                f"{name:<20} {outcome.compiling:>10.1f} {outcome.sampling:>10.2f} {ess:>7.0f} {parameter:<12} "
                f"{rates[-1][0]:>9.2f} {rates[-1][1]:>9.2f} {ratios[0]:>7.1f} {ratios[1]:>9.1f}",
                flush=True,
            )
        print(f"asked for: {WANTED.get((N, D, K), '-')} times pm.Mixture, {WANTED_NUMPYRO} times NumPyro")


if __name__ == "__main__":
    main()
