"""Comparison of posteriors: its numbers are those of its parts, and what it says follows from them."""

from functools import cache

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.selection.compare_posteriors import compare_posteriors
from bayesgmm.selection.leave_one_out import leave_one_out
from bayesgmm.selection.waic import waic

PRIOR = bg.Prior(means=priors.Normal(3.0, 5.0), covariances=priors.InverseWishart(5.0, 3.0))


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=25), 7 + rng.normal(size=15)])[:, None]


@cache
def posteriors():
    return {
        f"K={K}": bg.sample_posterior(rows(), K, prior=PRIOR, draws=500, random_seed=K, progressbar=False)
        for K in (1, 2)
    }


@cache
def comparison():
    return compare_posteriors(posteriors(), random_seed=1)


def test_numbers_are_those_of_the_parts():
    table = comparison().table
    for name, dt in posteriors().items():
        row = table.loc[name]
        assert row["elpd_waic"] == pytest.approx(waic(dt).elpd)
        if not row["n_refitted"]:
            assert row["elpd_loo"] == pytest.approx(leave_one_out(dt).elpd.elpd)
        em = bg.GaussianMixture(row["n_components"], n_init=5, random_state=0).fit(rows())
        assert row["bic"] == pytest.approx(em.bic(rows()), abs=1e-4)
    assert table["probability"].sum() == pytest.approx(1.0)
    for weights in ("weight_stacking", "weight_pseudo_bma"):
        assert table[weights].sum() == pytest.approx(1.0)


def test_two_groups_have_two_components_by_every_criterion():
    found = comparison()
    for criterion in ("LOO", "evidence", "BIC", "ICL"):
        assert found.best(criterion) == "K=2"
    assert found.sentences()[-1] == "They agree."
    assert "K=2" in str(found)
    assert found.table["elpd_difference"].iloc[0] == 0
    assert found.table["elpd_difference"].iloc[1] < 0


def test_says_why_criteria_disagree():
    from dataclasses import replace

    found = comparison()
    table = found.table.copy()
    table.loc["K=1", "log_evidence"] = table["log_evidence"].max() + 5
    table.loc["K=1", "icl"] = table["icl"].min() - 5
    said = " ".join(replace(found, table=table).sentences())
    assert "They disagree" in said
    assert "The evidence prefers fewer components than LOO" in said
    assert "ICL has fewer components than BIC" in said


def test_refuses_posteriors_of_other_rows():
    other = bg.sample_posterior(rows()[:30], 1, prior=PRIOR, draws=20, tune=100, random_seed=1, progressbar=False)
    with pytest.raises(ValueError, match="'other' was fitted to other rows than 'K=1'"):
        compare_posteriors({**posteriors(), "other": other})
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_posteriors({})
    with pytest.raises(ValueError, match="`criterion` must be one of"):
        comparison().best("WAIC")


def test_without_the_evidence_it_is_not_asked():
    found = compare_posteriors(posteriors(), evidence=False, refit=False)
    assert found.table["log_evidence"].isna().all()
    assert not any(sentence.startswith("evidence") for sentence in found.sentences())
    assert np.isfinite(found.table["elpd_loo"]).all()
