"""Intervals of memberships and densities hold the truth as often as they say. Run by `make calibrate`.

Parameters come from the prior that the posterior uses, data from them. The intervals are those of `bayesgmm.membership`
and `bayesgmm.density` at fixed points, with the labels of every draw brought to those of the truth by assignment.
"""

import os

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.datatree import parameter_dataset
from bayesgmm.sampler.nuts import draw_unconstrained
from tests.calibration.configurations import explicit
from tests.calibration.sbc import N_ROWS, Configuration, compiled, constrainer, prior_draws, starting_vectors
from tests.support import oracle

DATASETS = int(os.environ.get("COVERAGE_DATASETS", "200"))
PROB = 0.89
TUNE, DRAWS = 400, 1000
LEAST, MOST = 0.01, 0.99
"""Memberships are judged where their posterior mean is strictly between these: a choice that data alone make, so that
coverage is that of the posterior still; elsewhere both ends and the truth are 0 or 1 to many digits."""

STANDARD_ERRORS = 3
CONFIGURATION = Configuration("full", 2, 2, explicit("full", 2), "full, D = 2, K = 2")
POINTS = np.stack(np.meshgrid([-2.0, -0.5, 1.0, 2.5], [-2.0, -0.5, 1.0, 2.5], indexing="ij"), axis=-1).reshape(-1, 2)


def covered(truth: np.ndarray, lower: xr.DataArray, upper: xr.DataArray) -> np.ndarray:
    return (lower.values <= truth) & (truth <= upper.values)


def coverage(hits: list[np.ndarray]) -> tuple[float, float, int]:
    """Share of quantities covered, its standard error with datasets as clusters, and how many quantities there are."""
    counts, sums = np.array([len(one) for one in hits]), np.array([one.sum() for one in hits])
    share = sums.sum() / counts.sum()
    clusters = len(hits)
    error = np.sqrt(((sums - share * counts) ** 2).sum() * clusters / (clusters - 1)) / counts.sum()
    return float(share), float(error), int(counts.sum())


@pytest.fixture(scope="module")
def hits(request: pytest.FixtureRequest) -> dict[str, list[np.ndarray]]:
    """Whether each interval of each dataset holds the truth."""
    model, log_density, X = compiled(CONFIGURATION)
    constrain = constrainer(model)
    mixtures = prior_draws(model, 2 * DATASETS, seed=11)
    rng = np.random.default_rng(11)
    found: dict[str, list[np.ndarray]] = {"membership": [], "density": []}
    for r in range(DATASETS):
        truth = mixtures[r]
        X[:] = draw_rows(rng, truth, N_ROWS)[0]
        starts = starting_vectors(model, mixtures[[r, DATASETS + r]])
        drawn = draw_unconstrained(
            log_density, starts, draws=DRAWS, tune=TUNE, cores=1, random_seed=r, progressbar=False
        ).values
        flat = constrain(drawn.reshape(-1, drawn.shape[2]))
        draws = MixtureParameters.from_covariances(*(a.reshape(*drawn.shape[:2], *a.shape[1:]) for a in flat))
        draws = draws.permute(align(draws, truth).permutation)
        dt = xr.DataTree.from_dict({"posterior": parameter_dataset(draws, ("x", "y"), ("", ""))})
        belonging = bg.membership(dt, POINTS, ci_prob=PROB, n_simulated=0, progressbar=False)
        height = bg.density(dt, POINTS, ci_prob=PROB, progressbar=False)
        # two memberships of a row sum to one: the first says it all
        first = belonging.isel(component=0)
        judged = (first["probability"].values > LEAST) & (first["probability"].values < MOST)
        inside = covered(
            oracle.memberships(POINTS, truth)[:, 0], first["probability_lower"], first["probability_upper"]
        )
        found["membership"].append(inside[judged])
        p = np.exp(oracle.log_density(POINTS, truth))
        found["density"].append(covered(p, height["density_lower"], height["density_upper"]))
    return found


@pytest.mark.parametrize("name", ["membership", "density"])
def test_intervals_hold_the_truth_as_often_as_they_say(
    name: str, hits: dict[str, list[np.ndarray]], capsys: pytest.CaptureFixture[str]
) -> None:
    share, error, tested = coverage(hits[name])
    with capsys.disabled():
        print(
            f"\n{name}: {PROB:.0%} intervals hold the truth in {share:.4f} +- {error:.4f} of {tested} quantities "
            f"of {DATASETS} datasets"
        )
    assert abs(share - PROB) < STANDARD_ERRORS * error
    # so few standard errors mean something only when they are small
    assert error < 0.1
