"""The compiled pass over incomplete rows: its value against the NumPy one, its gradient against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.kernel import incomplete
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.likelihood import NO_NOISE
from bayesgmm.model.likelihood import call_compiled_pass as over_complete_rows
from bayesgmm.model.likelihood_incomplete import call_compiled_pass as over_incomplete_rows
from bayesgmm.model.packing import pack
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture

STEP = 1e-6


def compiled(packed, log_weights, means, U, log_noise=NO_NOISE[0]):
    value, *gradients = over_incomplete_rows(*packed, log_weights, means, U, log_noise)
    return float(value), gradients if np.isfinite(log_noise) else gradients[:3]


def arguments(p: MixtureParameters):
    noise = () if p.noise is None else (np.asarray(p.noise.log_weight),)
    return p.log_shares, p.means, p.precision_cholesky, *noise


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("K", "D"), [(1, 2), (3, 3), (2, 1)])
def test_value_is_that_of_numpy_and_gradient_that_of_finite_differences(case, K, D, noisy, rng):
    p = mixture(rng, K, D)
    observations = incomplete_rows(rng, CASES[case], p, 120).observations()
    background = None
    if noisy:
        # a box that some rows are outside of
        background = Background.box(*np.nanquantile(observations.values, [0.1, 0.9], axis=0))
        p = replace(p, noise=Noise(np.asarray(0.2), background))
    packed, _ = pack(observations, background)
    value, gradients = compiled(packed, *arguments(p))
    expected = incomplete.expected_statistics(observations, observations.to_standard(p)).log_likelihood
    assert_allclose(value, expected, rtol=1e-11)
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(*gradient.shape):
            if which == 2 and index[1] > index[2]:
                assert gradient[index] == 0.0
                continue
            ends = []
            for step in (STEP, -STEP):
                moved = [part.copy() for part in arguments(p)]
                moved[which][index] += step
                ends.append(compiled(packed, *moved)[0])
            # the value is known to about eps |value|, the difference to that over the step
            tolerance = 4 * np.finfo(float).eps * abs(value) / STEP + 1e-6 * abs(gradient[index]) + 1e-7 * abs(value)
            assert abs((ends[0] - ends[1]) / (2 * STEP) - gradient[index]) < tolerance


def test_complete_rows_are_those_of_the_plain_pass(rng):
    p = mixture(rng, 3, 3)
    observations = incomplete_rows(rng, (), p, 500).observations()
    packed, order = pack(observations)
    value, gradients = compiled(packed, *arguments(p))
    same, *plain, _ = over_complete_rows(observations.values[order], np.ones(500), *arguments(p), *NO_NOISE)
    assert_allclose(value, same, rtol=1e-13)
    for ours, theirs in zip(gradients, plain, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.parametrize("kinds", [("missing",), ("missing", "variances")])
def test_whole_weights_are_repeated_rows(kinds, rng):
    p = mixture(rng, 2, 3)
    given = incomplete_rows(rng, (*kinds, "weights"), p, 80)
    weighted = compiled(pack(given.observations())[0], *arguments(p))
    again = np.repeat(np.arange(80), given.weights.astype(int))
    errors = None if given.errors is None else given.errors[again]
    repeated = given._replace(X=given.X[again], errors=errors, weights=None).observations()
    value, gradients = compiled(pack(repeated)[0], *arguments(p))
    assert_allclose(weighted[0], value, rtol=1e-12)
    for ours, theirs in zip(weighted[1], gradients, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10 * np.abs(theirs).max())


def test_a_missing_value_is_one_of_unbounded_error(rng):
    """The gradients agree, and the log likelihood but for half log 2 pi V a cell; both to the order of 1 / V."""
    p, V = mixture(rng, 2, 3), 1e10
    given = incomplete_rows(rng, ("missing",), p, 100)
    hidden = np.isnan(given.X)
    noisy = given._replace(X=np.where(hidden, 0.0, given.X), errors=np.where(hidden, V, 0.0))
    missing, large = (compiled(pack(some.observations())[0], *arguments(p)) for some in (given, noisy))
    assert_allclose(large[0] + 0.5 * np.log(2 * np.pi * V) * hidden.sum(), missing[0], atol=1e-5)
    for ours, theirs in zip(large[1], missing[1], strict=True):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("kinds", [("missing",), ("missing", "covariances")])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200, 0.0])
def test_parameters_out_of_reach_give_no_number_and_no_exception(kinds, bad, rng):
    p = mixture(rng, 2, 2)
    packed, _ = pack(incomplete_rows(rng, kinds, p, 30).observations())
    log_weights, means, U = (part.copy() for part in arguments(p))
    for part in (means, U) if bad != 0.0 else (U,):
        moved = [log_weights, means.copy(), U.copy()]
        moved[1 if part is means else 2][...] = bad
        value, _ = compiled(packed, *moved)
        assert not np.isfinite(value) or value < -1e3
