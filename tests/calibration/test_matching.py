"""The comparison of real and generated data holds its level: over datasets from the model, for fits and posteriors."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.diagnostics.goodness_of_fit import fit as module
from bayesgmm.diagnostics.goodness_of_fit import goodness_of_fit
from bayesgmm.mixture.simulation import draw_rows
from tests.support.posteriors import as_datatree, scattered_draws

N, DATASETS, GENERATED, LEVEL = 150, 200, 39, 0.05
K_ERRORS = 3


def truth():
    return bg.from_parameters(
        [0.6, 0.4], [[0, 0], [3, 1]], [[[1.0, 0.5], [0.5, 1.0]], [[0.5, -0.2], [-0.2, 0.8]]]
    ).parameters_


@pytest.mark.parametrize("kind", ["fit", "posterior", "new rows"])
def test_level(kind, monkeypatch):
    """Any mismatch in one dataset of twenty, where the model is right; never more, up to 3 standard errors.

    The posterior's draws are a stand-in about the fit, with about the spread of a posterior: 200 runs of NUTS would
    take hours.
    """
    monkeypatch.setattr(module, "leave_one_out_pit", lambda *args: None)
    rejected = []
    for repetition in range(DATASETS):
        rng = np.random.default_rng([repetition, 7])
        X = draw_rows(rng, truth(), N)[0]
        gm = bg.GaussianMixture(2, random_state=0, n_init=3).fit(X)
        settings = {"n_datasets": GENERATED, "random_seed": rng, "progressbar": False, "level": LEVEL}
        if kind == "posterior":
            draws = scattered_draws(gm.parameters_, N, rng, 2, 100)
            found = goodness_of_fit(as_datatree(gm, X, draws), **settings)
        elif kind == "fit":
            found = goodness_of_fit(gm, X, **settings)
        else:
            # rows of the very mixture: exchangeable, the level is exact
            known = bg.from_parameters(*(getattr(truth(), name) for name in ("weights", "means", "covariances")))
            found = goodness_of_fit(known, X, refit=False, **settings)
        rejected.append(not found.matches)
    error = np.sqrt(LEVEL * (1 - LEVEL) / DATASETS)
    print(f"{kind}: {sum(rejected)} of {DATASETS} datasets called a mismatch")
    assert np.mean(rejected) < LEVEL + K_ERRORS * error
