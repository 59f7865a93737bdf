"""A pickle of a mixture names no file of ours, and what it holds comes back whole."""

import copy
import io
import pickle
import pickletools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.solver import Status
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters


@pytest.fixture(params=[None, "box", "hull"])
def mixture(request):
    X = np.asarray(bg.load_dataset("faithful"))
    return bg.GaussianMixture(2, noise=request.param, random_state=0).fit(X)


class Names(pickle.Unpickler):
    """Reads a pickle, and notes every class that it asks for."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.found = set()

    def find_class(self, module, name):
        self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_it_names_the_public_class_alone(mixture):
    again = bg.GaussianMixture(2, init_params=mixture, noise=mixture.parameters_.noise and mixture.noise_background_)
    for pickled in (mixture, again, bg.GaussianMixture(3)):
        names = Names(pickle.dumps(pickled))
        assert type(names.load()) is bg.GaussianMixture
        assert {name for name in names.found if name.startswith("bayesgmm")} == {"bayesgmm.GaussianMixture"}
        assert b"bayesgmm.em" not in pickletools.optimize(pickle.dumps(pickled))


def test_what_it_holds_comes_back(mixture):
    X = np.asarray(bg.load_dataset("faithful"))
    state = dict(vars(mixture))
    again = pickle.loads(pickle.dumps(mixture))
    assert vars(mixture).keys() == state.keys() == vars(again).keys()
    assert all(vars(mixture)[name] is value for name, value in state.items()), "the mixture itself is left as it was"
    assert isinstance(again.parameters_, MixtureParameters) and again.status_ is Status.CONVERGED
    np.testing.assert_array_equal(again.score_samples(X), mixture.score_samples(X))
    np.testing.assert_array_equal(again.sample(3)[0], mixture.sample(3)[0])
    if mixture.noise is not None:
        assert isinstance(again.noise_background_, Background)
        assert again.noise_background_.same_as(mixture.noise_background_)
        assert again.noise_background_ is again.parameters_.noise.background, "one background, not two"
    np.testing.assert_array_equal(copy.deepcopy(mixture).predict_proba(X), mixture.predict_proba(X))


def test_a_state_with_our_own_records_is_taken_too(mixture):
    """So did pickles hold it once."""
    again = bg.GaussianMixture()
    again.__setstate__(dict(vars(mixture)))
    assert again.parameters_ is mixture.parameters_ and again.status_ is mixture.status_
