"""Monte Carlo p-values: exact under exchangeability, alone and together."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.diagnostics.goodness_of_fit.p_values import adjusted, ranks


def test_ranks_by_hand():
    figures = np.array([[3.0, 0.0], [1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    assert_array_equal(ranks(figures, np.array([False, False])), [0.5, 1.0])
    assert_array_equal(ranks(figures, np.array([True, True])), [1.0, 0.5])


def test_one_figure_needs_no_adjustment(rng):
    for two_sided in (False, True):
        figures = rng.normal(size=(100, 1))
        z = np.abs(figures - figures.mean()) if two_sided else figures
        assert_allclose(adjusted(figures, np.array([two_sided])), (z >= z[0]).mean())


def test_equal_figures_cost_nothing_and_order_is_kept(rng):
    """Ten copies of one figure have its own p-value; a smaller alone never has a smaller together."""
    figures = np.repeat(rng.normal(size=(200, 1)), 10, axis=1)
    assert_allclose(adjusted(figures, np.zeros(10, bool)), ranks(figures[:, :1], np.zeros(1, bool))[0])
    mixed = rng.normal(size=(200, 5))
    together = adjusted(mixed, np.zeros(5, bool))
    z = (mixed[0] - mixed.mean(axis=0)) / mixed.std(axis=0)
    assert (np.diff(together[np.argsort(-z)]) >= 0).all()
    assert (together >= ranks(mixed, np.zeros(5, bool)) - 1e-12).all()


def test_a_figure_that_never_varies_among_generated_data_shows_at_once():
    figures = np.zeros((20, 3))
    figures[0, 1] = 7
    assert_allclose(adjusted(figures, np.zeros(3, bool)), [1.0, 0.05, 1.0])


def test_any_rejection_has_the_level():
    """Exchangeable rows, correlated figures: P(smallest adjusted p <= 2/40) = 2/40, up to 5 standard errors."""
    rng, R = np.random.default_rng(0), 4000
    two_sided = np.array([False, True, False, True])
    rejected = 0
    for _ in range(R):
        common = rng.exponential(size=(40, 1))
        rejected += adjusted(common + rng.exponential(size=(40, 4)), two_sided).min() <= 0.05 + 1e-12
    assert abs(rejected / R - 0.05) < 5 * np.sqrt(0.05 * 0.95 / R)
