"""A stack of groups says of each what the group says by itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import as_observations
from bayesgmm.kernel import stacks as module
from bayesgmm.kernel.groups import groups
from bayesgmm.kernel.incomplete import expected_statistics
from bayesgmm.kernel.stacks import stacks
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from tests.kernel.test_incomplete import mixture, table


def problem(rng, *, errors=False, labels=False, noise=False):
    X = table(rng, N=200, D=4)
    observations = as_observations(
        X,
        errors=rng.random(4) if errors else None,
        known_labels=np.where(rng.random(len(X)) < 0.3, rng.integers(3, size=len(X)), UNKNOWN) if labels else None,
    )
    p = observations.to_standard(mixture(rng, 3, 4))
    if noise:
        background = Background.around(X)
        p = MixtureParameters(
            p.weights, p.means, p.covariances, p.precision_cholesky, Noise(np.asarray(0.2), background)
        )
    return observations, p


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("noise", [False, True])
def test_mixtures_are_those_of_the_groups(rng, errors, labels, noise):
    observations, p = problem(rng, errors=errors, labels=labels, noise=noise)
    found = [(group, stack.mixtures(p)[g]) for stack in stacks(observations) for g, group in enumerate(stack.groups)]
    assert {id(group) for group, _ in found} == {id(group) for group in groups(observations)}
    for group, stacked in found:
        alone = group.mixture(p)
        assert_allclose(np.log(stacked.weights), alone.log_shares, rtol=1e-12, atol=1e-12)
        for name in ("means", "covariances", "precision_cholesky"):
            assert_array_equal(getattr(stacked, name), getattr(alone, name))


def test_rows_with_errors_of_their_own_are_in_no_stack(rng):
    X = table(rng, share=0.0)
    assert stacks(as_observations(X, errors=rng.random(X.shape))) == ()


def test_how_many_groups_are_stacked_changes_nothing(rng, monkeypatch):
    observations, p = problem(rng)
    together = expected_statistics(observations, p)
    assert max(len(stack.groups) for stack in stacks(observations)) > 1
    monkeypatch.setattr(module, "MOST_GROUPS", 1)
    again = observations.take(np.arange(observations.n_rows))
    assert {len(stack.groups) for stack in stacks(again)} == {1}
    alone = expected_statistics(again, p)
    for name in ("log_likelihood", "N", "S1", "S2"):
        assert_allclose(getattr(alone, name), getattr(together, name), rtol=1e-12, atol=1e-12)
