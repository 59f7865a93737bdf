"""P(K | data) is Bayes' rule with the evidence's errors carried on."""

from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.posterior import datatree
from bayesgmm.selection import posterior_of_components as module
from bayesgmm.selection.compare_posteriors import PosteriorComparison
from bayesgmm.selection.evidence import LogEvidence
from bayesgmm.selection.posterior_of_components import posterior_of_components
from tests.support import noisy
from tests.support.posteriors import fake_posterior

K_SE = 5.0


def estimate(value: float, error: float) -> LogEvidence:
    return LogEvidence(value, error, "bridge", 1000.0, 1.0)


def test_probabilities_are_prior_times_evidence_normalised():
    found = posterior_of_components({2: -10.0, 1: -12.0, 3: -11.0}, prior={1: 1.0, 2: 2.0, 3: 1.0})
    joint = np.array([1.0, 2.0, 1.0]) * np.exp([-12.0, -10.0, -11.0])
    assert list(found.table.index) == [1, 2, 3]
    np.testing.assert_allclose(found.table["probability"], joint / joint.sum())
    np.testing.assert_allclose(found.table["prior"], [0.25, 0.5, 0.25])
    assert found.most_probable == 2
    assert found.log_bayes_factor(2, 1) == (2.0, 0.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=5), st.floats(-1e4, 1e4))
def test_a_factor_common_to_all_evidences_changes_nothing(values, shift):
    """Other units of the data multiply every evidence by the same number."""
    one, two = (
        posterior_of_components({K + 1: value + by for K, value in enumerate(values)}).table["probability"]
        for by in (0.0, shift)
    )
    np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-12)


def test_the_interval_is_that_of_the_evidences_errors():
    """Of two models P = 1 / (1 + exp(-d)), d normal: its quantiles are those of d, transformed."""
    found = posterior_of_components({1: estimate(-3.0, 0.3), 2: estimate(-2.0, 0.4)}, ci_prob=0.9, random_seed=0).table
    ends = 1 / (1 + np.exp(-(1.0 + 0.5 * 1.6448536 * np.array([-1, 1]))))
    np.testing.assert_allclose(found.loc[2, ["probability_lower", "probability_upper"]], ends, atol=0.01)
    exact = posterior_of_components({1: -3.0, 2: -2.0}).table
    np.testing.assert_allclose(exact["probability_lower"], exact["probability"])
    assert posterior_of_components({1: estimate(-3.0, 0.3), 2: estimate(-2.0, 0.4)}).log_bayes_factor(2, 1) == (
        1.0,
        0.5,
    )


def test_the_prior_may_be_a_function():
    found = posterior_of_components({1: 0.0, 2: 0.0, 3: 0.0}, prior=lambda K: 1 / factorial(K))
    np.testing.assert_allclose(found.table["probability"], np.array([6, 3, 1]) / 10)


def test_sentences_name_the_best_the_next_and_the_edge():
    said = " ".join(posterior_of_components({1: -12.0, 2: -10.0}).sentences())
    assert "K = 2 is the most probable: 0.88" in said
    assert "7.39 times" in said and "largest that was tried" in said
    # the evidence and the prior may point to different K
    turned = " ".join(posterior_of_components({1: -12.0, 2: -10.0}, prior={1: 0.99, 2: 0.01}).sentences())
    assert "K = 1 is the most probable" in turned and "as probable under K = 2" in turned


@pytest.mark.parametrize(
    ("evidences", "prior", "said"),
    [
        ({}, None, "map each K"),
        ({0: 1.0}, None, "at least 1; received 0"),
        ({1: np.nan}, None, "K = 1 is nan"),
        ({1: 0.0, 2: 0.0}, {1: 1.0}, "no probability for K = 2"),
        ({1: 0.0, 2: 0.0}, {1: 1.0, 2: -1.0}, "positive and finite"),
        ({1: 0.0}, 3, "a mapping or a function"),
    ],
)
def test_what_cannot_be_used_is_refused(evidences, prior, said):
    with pytest.raises(ValueError, match=said):
        posterior_of_components(evidences, prior)


def test_a_comparison_of_posteriors_is_taken_when_it_has_one_model_for_each_number():
    table = pd.DataFrame(
        {
            "n_components": [2, 1],
            "covariance_type": "full",
            "log_evidence": [-10.0, -12.0],
            "log_evidence_error": [0.1, 0.0],
        },
        index=["two", "one"],
    )
    found = posterior_of_components(PosteriorComparison(table, {}))
    assert found.log_bayes_factor(2, 1) == (2.0, 0.1)
    with pytest.raises(ValueError, match="one model for each K"):
        posterior_of_components(PosteriorComparison(table.assign(n_components=2), {}))
    missing = table.assign(log_evidence=[np.nan, -12.0])
    with pytest.raises(ValueError, match="two has no evidence: improper"):
        posterior_of_components(PosteriorComparison(missing, {"two": "improper"}))


def test_a_posterior_of_another_number_is_refused():
    with pytest.raises(ValueError, match="given for K = 3 has 2 components"):
        posterior_of_components({3: fake_posterior()[1]})


def test_posteriors_with_and_without_noise_are_not_of_one_question():
    _, with_noise, _, _ = noisy.noisy_posterior()
    pieces = {2: fake_posterior()[1], 3: with_noise.copy()}
    datatree.write_meta(pieces[3], datatree.meta(with_noise) | {"n_components": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "log_evidence", lambda dt, random_seed: estimate(-1.0, 0.0))
        with pytest.raises(ValueError, match="K = 3 has another noise component"):
            posterior_of_components(pieces)
