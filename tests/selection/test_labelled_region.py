"""One labelling of the components: draws lie in it once they are relabelled, and their relabellings do not."""

from math import log

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.mixture.alignment import align
from bayesgmm.posterior.datatree import posterior_parameters
from bayesgmm.selection.labelled_region import Target, central_mixture
from tests.support.posteriors import fake_posterior


@pytest.fixture(scope="module")
def posterior():
    return bg.sample_posterior(
        bg.load_dataset("faithful"), 2, method="laplace", draws=60, chains=2, random_seed=1, progressbar=False
    )


def test_draws_lie_in_the_region_and_their_relabellings_do_not(posterior) -> None:
    target = Target(posterior, seed=0)
    assert target.log_copies == pytest.approx(log(2.0))
    draws = posterior_parameters(posterior)
    vectors = target.vectors(draws)
    assert vectors.shape[:2] == draws.batch_shape
    inside = target.log_density(vectors.reshape(-1, vectors.shape[-1]))
    assert np.isfinite(inside).all()
    np.testing.assert_array_equal(inside, target.log_density_inside(vectors).ravel())
    # whatever labels the draws come with
    flipped = draws.permute(np.broadcast_to([1, 0], (*draws.batch_shape, 2)))
    np.testing.assert_allclose(target.vectors(flipped), vectors)
    # the other labelling has the same density, and is outside
    target.reference = target.reference.permute(np.array([1, 0]))
    assert np.isneginf(target.log_density(vectors.reshape(-1, vectors.shape[-1]))).all()


def test_the_central_mixture_is_the_mean_of_one_labelling() -> None:
    gm, dt, _ = fake_posterior()
    draws = posterior_parameters(dt)
    rng = np.random.default_rng(0)
    order = rng.permuted(np.broadcast_to(np.arange(2), (*draws.batch_shape, 2)), axis=-1)
    centre, again = central_mixture(draws, gm.parameters_), central_mixture(draws.permute(order), gm.parameters_)
    np.testing.assert_allclose(again.means, centre.means)
    np.testing.assert_allclose(centre.means, draws.means.mean(axis=(0, 1)))
    assert float(align(centre, gm.parameters_).cost) < 0.1
