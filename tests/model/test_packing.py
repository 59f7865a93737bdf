"""Rows laid out by group: every row once, with what is known of it, and nothing else."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.mixture.noise import Background
from bayesgmm.model.packing import pack
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("D", [1, 3])
def test_every_row_can_be_read_back(case, D, rng):
    observations = incomplete_rows(rng, CASES[case], mixture(rng, 2, D), 50).observations()
    packed, order = pack(observations)
    assert_array_equal(np.sort(order), np.arange(50))
    assert packed.starts[0] == 0 and packed.starts[-1] == 50 and (np.diff(packed.starts) > 0).all()
    for g, component in enumerate(packed.components):
        seen = packed.seen[g][packed.seen[g] >= 0]
        P = len(seen)
        for place in range(packed.starts[g], packed.starts[g + 1]):
            n = order[place]
            assert_array_equal(seen, np.flatnonzero(~np.isnan(observations.values[n])))
            assert_array_equal(packed.rows[place, :P], observations.values[n, seen])
            assert_array_equal(packed.rows[place, P:], 0.0)
            assert packed.row_weights[place] == (1.0 if observations.weights is None else observations.weights[n])
            labels = observations.known_labels
            assert component == (UNKNOWN if labels is None else labels[n])
            E = packed.errors[g] if packed.own[g] < 0 else packed.own_errors[packed.own[g] + place - packed.starts[g]]
            given = np.zeros((D, D)) if observations.errors is None else observations.errors[n]
            given = given if given.ndim == 2 else np.diag(given)
            assert_allclose(E[:P, :P], given[np.ix_(seen, seen)], rtol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_noise_is_uniform_in_what_is_seen_inside_the_box(case, rng):
    observations = incomplete_rows(rng, CASES[case], mixture(rng, 2, 3), 50).observations()
    lower, upper = np.nanquantile(observations.values, [0.05, 0.95], axis=0)
    packed, order = pack(observations, Background.box(lower, upper))
    inside = 0
    for place, n in enumerate(order):
        x = observations.values[n]
        seen = ~np.isnan(x)
        if observations.known_labels is not None and observations.known_labels[n] != UNKNOWN:
            continue
        within = ((x >= lower) & (x <= upper))[seen].all()
        expected = -np.log((upper - lower)[seen]).sum() if within else -np.inf
        assert_allclose(packed.background[place], expected, rtol=1e-14)
        inside += within
    assert 0 < inside < 50


def test_no_array_is_empty(rng):
    packed, _ = pack(incomplete_rows(rng, ("missing",), mixture(rng, 2, 2), 20).observations())
    assert all(len(part) > 0 for part in packed)
