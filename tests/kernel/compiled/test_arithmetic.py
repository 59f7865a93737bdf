"""exp, log, the products and the log-sum-exp of the compiled pass against NumPy's."""

import ast
from pathlib import Path

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

import bayesgmm
from bayesgmm.kernel.compiled.arithmetic import (
    BLOCK_ROWS,
    accumulate,
    exp_nonpositive,
    log_at_least_one,
    multiply,
    normalise,
)

DECORATORS = Path(bayesgmm.__file__).parent / "tools" / "compiled.py"


# In loops, as the pass runs them: vector instructions are what is tested. Not as ufuncs: NumPy would read the
# processor's flags after one, and a compiler may compute, on some processors, what it then does not choose.
@numba.njit
def exp_each(x):
    return np.array([exp_nonpositive(one) for one in x])


@numba.njit
def log_each(x):
    return np.array([log_at_least_one(one) for one in x])


def test_every_compiled_function_says_which_additions_may_be_reordered():
    """One that does not is compiled, and kept on disk, with what its first caller says. In PyTensor's graphs that is
    PyTensor, always; and the decorators that pass options on compile nothing of their own."""
    silent = []
    for path in Path(bayesgmm.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        compilers = {"compiled", "c_function"} | ({"numba.njit", "numba.cfunc"} if "pytensor" not in source else set())
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in compilers and path != DECORATORS:
                silent += [f"{path.name}:{node.lineno}"] * ("fastmath" not in {word.arg for word in node.keywords})
    assert silent == []


def test_exp_is_within_one_unit_in_the_last_place(rng):
    x = -np.concatenate([700 * rng.random(20_000), rng.random(20_000), 10.0 ** -rng.uniform(0, 300, 20_000)])
    expected = np.exp(x)
    assert np.max(np.abs(exp_each(x) - expected) / np.spacing(expected)) <= 1.0


def test_exp_at_the_edges():
    assert_array_equal(exp_each(np.array([0.0, -0.0, -709.0, -1e300, -np.inf, np.nan])), [1, 1, 0, 0, 0, np.nan])


def test_log_is_within_four_rounding_errors(rng):
    parts = 50 * rng.random(20_000), 10.0 ** -rng.uniform(0, 15, 20_000), 10.0 ** rng.uniform(0, 6, 99)
    x = 1.0 + np.concatenate(parts)
    assert_allclose(log_each(x), np.log(x), rtol=4 * np.finfo(float).eps)


def test_log_at_the_edges():
    assert_array_equal(log_each(np.array([1.0, 0.0, np.nan])), [0.0, -np.inf, np.nan])


@pytest.mark.parametrize("B", [1, 7, BLOCK_ROWS])
@pytest.mark.parametrize("K", [1, 4, 5])
def test_products_are_numpys(rng, B, K):
    left, features, constants = rng.normal(size=(K, B)), rng.normal(size=(8, B)), rng.normal(size=K)
    out = np.full((K, B), np.nan)
    multiply(constants, eta := rng.normal(size=(K, 8)), features, out, B)
    assert_allclose(out, constants[:, None] + eta @ features, rtol=1e-12, atol=1e-12)
    totals, sums = np.full(K, 2.0), np.ones((K, 8))
    accumulate(left, features, totals, sums, B)
    assert_allclose(totals, 2.0 + left.sum(axis=1), rtol=1e-12, atol=1e-11)
    assert_allclose(sums, 1.0 + left @ features.T, rtol=1e-12, atol=1e-11)


def test_normalise_gives_weighted_responsibilities_and_the_log_density(rng):
    log_joint, w = 5 * rng.normal(size=(3, 40)), rng.random(50)
    expected = logsumexp(log_joint, axis=0)
    r = log_joint.copy()
    loglik = normalise(r, 3, w, 10, 40, np.empty(40), np.empty(40))
    assert_allclose(loglik, w[10:] @ expected, rtol=1e-13)
    assert_allclose(r, w[10:] * np.exp(log_joint - expected), rtol=1e-13)


def test_a_row_without_density_gives_minus_infinity_and_no_responsibility():
    log_joint = np.array([[0.0, -np.inf], [0.0, -np.inf]])
    assert normalise(log_joint, 2, np.ones(1), 0, 2, np.empty(2), np.empty(2)) == -np.inf
    assert_array_equal(log_joint, [[0.5, 0.0], [0.5, 0.0]])


def test_a_row_that_does_not_count_may_lack_density():
    log_joint = np.array([[0.0, -np.inf], [0.0, -np.inf]])
    loglik = normalise(log_joint, 2, np.array([1.0, 0.0]), 0, 2, np.empty(2), np.empty(2))
    assert_allclose(loglik, np.log(2.0))


def test_nan_is_never_lost():
    log_joint = np.array([[0.0, np.nan, 0.0], [np.nan, 0.0, np.inf]])
    top = np.empty(3)
    assert np.isnan(normalise(log_joint, 2, np.ones(1), 0, 3, top, np.empty(3)))
    assert np.isnan(top).all()
