"""Bridge sampling against constants that are known, and its error against repetition."""

import numpy as np
import pytest
from scipy.stats import norm

from bayesgmm.sampler.bridge import BridgeError, bridge, effective_size

K_SE = 4.0
"""Monte Carlo tolerance in standard errors."""


def autoregressive(rng, phi: float, shape: tuple[int, int]) -> np.ndarray:
    """Stationary chains with marginal Normal(0, 1)."""
    noise = rng.normal(size=shape) * np.sqrt(1 - phi**2)
    chains = np.empty(shape)
    chains[:, 0] = rng.normal(size=shape[0])
    for t in range(1, shape[1]):
        chains[:, t] = phi * chains[:, t - 1] + noise[:, t]
    return chains


def estimate(rng, phi: float = 0.0, draws: int = 500, cut: float = -np.inf):
    """Target: 7 exp(-x^2/2) / sqrt(2 pi) for x > cut; the proposal is Normal(0.3, 1.2)."""
    chains = autoregressive(rng, phi, (4, draws))
    if np.isfinite(cut):
        chains = np.abs(chains)
    proposals = rng.normal(0.3, 1.2, size=2000)

    def log_ratio(x):
        inside = np.where(x > cut, np.log(7.0) + norm.logpdf(x), -np.inf)
        return inside - norm.logpdf(x, 0.3, 1.2)

    return bridge(log_ratio(chains), log_ratio(proposals))


def test_finds_a_known_constant():
    found = estimate(np.random.default_rng(0))
    assert abs(found.log_constant - np.log(7.0)) < K_SE * np.sqrt(found.relative_variance)


def test_finds_a_known_constant_where_the_target_has_an_edge():
    found = estimate(np.random.default_rng(1), cut=0.0)
    assert abs(found.log_constant - np.log(3.5)) < K_SE * np.sqrt(found.relative_variance)


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_error_agrees_with_repetition(phi):
    rng = np.random.default_rng(2)
    found = [estimate(rng, phi) for _ in range(60)]
    spread = np.std([one.log_constant for one in found], ddof=1)
    claimed = np.sqrt(np.mean([one.relative_variance for one in found]))
    # the standard deviation of 60 values is known to 9 %, k = 4
    assert claimed == pytest.approx(spread, rel=K_SE / np.sqrt(2 * 59))


def test_equal_densities_are_exact():
    found = bridge(np.full((2, 50), 3.25), np.full(40, 3.25))
    assert found.log_constant == pytest.approx(3.25, abs=1e-12)
    assert found.relative_variance == 0


def test_refuses_what_it_cannot_use():
    good = np.zeros((2, 10))
    with pytest.raises(BridgeError, match="1 draws have a density"):
        bridge(np.where(np.arange(20).reshape(2, 10) == 3, -np.inf, good), np.zeros(5))
    with pytest.raises(BridgeError, match="not a number"):
        bridge(good, np.array([0.0, np.nan]))
    with pytest.raises(BridgeError, match="no proposal"):
        bridge(good, np.full(5, -np.inf))


def test_effective_size_is_at_most_the_number_of_draws():
    rng = np.random.default_rng(3)
    assert effective_size(autoregressive(rng, -0.9, (4, 500))) == 2000
    assert effective_size(autoregressive(rng, 0.9, (4, 500))) < 500
