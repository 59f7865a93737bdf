"""Each finding fires on what it is for, on nothing else, and names what it saw."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.observations import as_observations
from bayesgmm.diagnostics import findings
from bayesgmm.diagnostics.result import Diagnosis, Finding
from bayesgmm.priors import LKJ, HalfNormal, LogNormal, Prior


def table(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """Quantity, component, R-hat, effective sample size (bulk and tail alike)."""
    frame = pd.DataFrame(rows, columns=["quantity", "component", "rhat", "ess_bulk"])
    return frame.assign(ess_tail=frame["ess_bulk"] + 1, label_free=frame["component"] == "")


def parts(*identifiability: float) -> pd.DataFrame:
    n = len(identifiability)
    return pd.DataFrame({"component": range(n), "identifiability": identifiability, "empty": 0.0})


GOOD = (("log posterior", "", 1.001, 900.0), ("weight", "component 0", 1.002, 800.0))


def test_chains_that_agree_are_said_to():
    found = findings.agreement(table(*GOOD), parts(1.0, 1.0), {})
    assert found.severity == "fine" and "1.002" in found.seen


@pytest.mark.parametrize(
    ("free", "own", "identifiable", "severity", "words"),
    [
        (1.05, 1.02, 1.0, "warning", "have not run long enough"),
        (1.5, 1.02, 1.0, "error", "different regions"),
        (1.001, 1.05, 0.2, "warning", "agree on the density"),
        (1.001, 1.05, 1.0, "warning", "on this component"),
    ],
)
def test_what_needs_no_labels_decides_what_disagreement_means(free, own, identifiable, severity, words):
    rows = table(("log posterior", "", free, 900.0), ("mean x", "component 1", own, 900.0))
    found = findings.agreement(rows, parts(identifiable, 1.0), {"lp": np.array([[1.0, 1.0], [9.0, 9.0]])})
    assert found.severity == severity
    assert words in str(found)
    assert f"{max(free, own):.3f}" in found.seen and "mean x of component 1" in found.seen
    assert ("1.0, 9.0" in found.seen) == (severity == "error")


def test_no_r_hat_no_verdict():
    assert findings.agreement(table(("log posterior", "", np.nan, np.nan)), parts(1.0), {}) is None
    assert findings.precision(table(("log posterior", "", np.nan, np.nan))) is None


def test_few_effective_draws_are_counted_and_said_how_many_more():
    assert findings.precision(table(*GOOD)).severity == "fine"
    found = findings.precision(table(*GOOD, ("mean x", "component 1", 1.0, 79.0)))
    assert found.severity == "warning"
    assert "79 in the bulk (mean x of component 1)" in found.seen and "80 in the tail" in found.seen
    assert "About 6 times" in found.advice


@pytest.mark.parametrize(("C", "S", "severity"), [(4, 3, "error"), (1, 2, "error"), (1, 500, "warning")])
def test_too_little_to_diagnose(C, S, severity):
    found = findings.enough_draws(C, S)
    assert found.severity == severity
    assert f"{C} chain" in found.seen and f"of {S} draw" in found.seen and "at least" in found.seen
    assert found.meaning and found.advice
    assert findings.enough_draws(2, 4) is None


def test_divergences_are_counted_by_chain():
    diverging = np.zeros((2, 50), dtype=np.int8)
    assert findings.divergences({"diverging": diverging}).severity == "fine"
    diverging[1, :3] = 1
    assert "3 of 100 draws diverged (by chain: 0, 3)" in findings.divergences({"diverging": diverging}).seen
    assert "did not say" in findings.divergences({}).seen


def test_trees_cut_short():
    reached = np.zeros((2, 100), dtype=bool)
    reached[0, 0] = True
    assert findings.tree_depth({"reached_max_treedepth": reached}) is None
    reached[0, :7] = True
    assert "7 of 200" in findings.tree_depth({"reached_max_treedepth": reached}).seen
    assert findings.tree_depth({}) is None


def test_energies_that_crawl_are_named_by_chain(rng):
    energy = rng.normal(size=(3, 400))
    assert findings.energy({"energy": energy}).severity == "fine"
    energy[1] = np.cumsum(rng.normal(size=400))
    expected = np.square(np.diff(energy[1])).mean() / energy[1].var()
    found = findings.energy({"energy": energy})
    assert found.severity == "warning"
    assert "chain 1" in found.seen and "chain 0" not in found.seen
    assert f"({float(np.atleast_1d(arviz_stats.bfmi(energy[1:2]))[0]):.2f})" in found.seen
    # Betancourt's ratio; the definitions differ by S / (S - 1) at most
    assert np.atleast_1d(arviz_stats.bfmi(energy[1:2]))[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("recorded", "severity"),
    [
        ({"laplace": {"pareto_k": 0.31, "effective_size": 150.2}}, "fine"),
        ({"laplace": {"pareto_k": 0.9}}, "error"),
        ({"laplace": {"pareto_k": float("inf")}}, "error"),
        ({"laplace": None}, "warning"),
        ({}, "warning"),
    ],
)
def test_an_approximation_stands_or_falls_with_k_hat(recorded, severity):
    found = findings.approximation({"method": "laplace", **recorded})
    assert found.severity == severity
    assert ("nuts" in found.advice) == (severity != "fine")
    if severity == "fine":
        assert "0.31" in found.seen and "150" in found.seen


def test_another_mode_is_said_to_be_better_or_worse():
    assert "12.0 lower" in findings.other_mode(np.full(3, -100.0), np.full(2, -112.0)).seen
    better = findings.other_mode(np.full(3, -100.0), np.full(2, -99.0))
    assert "1.0 higher" in better.seen and "fits the data better" in better.meaning


def test_other_optima_count_when_they_have_probability():
    good = np.array([0.1, 0.2])
    assert findings.optima(np.array([1.0]), good[:1], 0) is None
    assert findings.optima(np.array([np.nan, np.nan]), good, 0) is None
    assert findings.optima(np.array([0.99, 0.01]), good, 0).severity == "fine"
    found = findings.optima(np.array([0.7, 0.3]), good, 1)
    assert found.severity == "warning" and "probability 0.30" in found.seen
    rough = findings.optima(np.array([0.7, 0.3]), np.array([0.1, 0.9]), 0)
    assert rough.severity == "fine" and "cannot weigh them" in rough.seen


def test_labels_that_are_not_identifiable_are_named():
    assert findings.labels(parts(1.0, 0.99), {}).severity == "fine"
    found = findings.labels(parts(0.2, 1.0, 0.31), {})
    assert found.severity == "warning"
    assert "component 0 (0.20) and component 2 (0.31)" in found.seen and "component 1" not in found.seen
    assert "No draw was dropped" in found.meaning
    assert "align_labels(dt, method='kl')" in found.advice
    assert "align_labels" not in findings.labels(parts(0.2, 0.2), {"labels": "kl"}).advice
    assert findings.labels(parts(1.0), {}) is None


def test_an_empty_component_is_found_whichever_label_it_bears():
    held = np.tile([40.0, 30.0, 30.0], (100, 1))
    assert findings.empty_components(held, parts(1, 1, 1)).severity == "fine"
    held[:20, 0], held[20:50, 2] = 0.2, 0.1
    frame = parts(1, 1, 1).assign(empty=(held < 1).mean(axis=0))
    found = findings.empty_components(held, frame)
    assert "In 50% of the draws" in found.seen and "component 2 (30%)" in found.seen
    assert "2 in 50%, 3 in 50%" in found.seen and "K = 2" in found.advice


def test_duplicates_are_found_with_their_distance():
    distances = np.full((100, 3, 3), 4.0)
    assert findings.duplicated_components(distances).severity == "fine"
    distances[:30, 0, 2] = distances[:30, 2, 0] = 0.01
    found = findings.duplicated_components(distances)
    assert "In 30% of the draws" in found.seen and "components 0 and 2 (30%" in found.seen and "0.01 to 4" in found.seen
    assert findings.duplicated_components(np.zeros((5, 1, 1))) is None


def facts(family: str, sd) -> dict:
    return {"covariance_type": family, "prior": Prior(covariances=LKJ(2.0, sd=sd)).to_dict()}


def test_ties_under_a_half_normal_prior_name_the_column_and_the_value():
    X = np.array([[1.0, 5.0], [2.0, 7.5], [3.0, 7.5], [4.0, 7.5], [5.0, 1.0], [5.0, 2.0]])
    rows = as_observations(pd.DataFrame(X, columns=["a", "b"]))
    found = findings.ties(rows, facts("full", HalfNormal(1.0)), 2)
    assert found.severity == "error"
    assert "column 'b'" in found.seen and "7.5 occurs 3 times" in found.seen
    assert "LogNormal" in found.advice
    assert findings.ties(rows, facts("diag", HalfNormal(1.0)), 2) is not None
    for family, sd, K in (
        ("full", LogNormal(0.0, 1.0), 2),
        ("full", HalfNormal(1.0), 1),
        ("tied", HalfNormal(1.0), 2),
        ("spherical", HalfNormal(1.0), 2),
    ):
        assert findings.ties(rows, facts(family, sd), K) is None
    assert findings.ties(rows, {"covariance_type": "full"}, 2) is None
    assert findings.ties(as_observations(X + np.arange(6)[:, None] / 7), facts("full", HalfNormal(1.0)), 2) is None


def test_a_sphere_needs_rows_that_are_equal_throughout():
    rows = as_observations(np.array([[1.0, 5.0], [2.0, 7.5], [2.0, 7.5], [4.0, 7.5]]))
    found = findings.ties(rows, facts("spherical", HalfNormal(1.0)), 2)
    assert "row (2, 7.5) occurs 2 times" in found.seen


def test_the_text_says_problems_first_and_folds_what_is_fine():
    these = (
        Finding("labels", "error", "Seen one.", "Means one.", "Do one."),
        Finding("a", "fine", "Fine one."),
        Finding("b", "fine", "Fine two."),
    )
    frame = table(*GOOD).assign(mean=1.0, sd=2.0)
    diagnosis = Diagnosis("Posterior of K = 2", these, frame, parts(1.0, 0.5), ("3",))
    assert not diagnosis.ok and [problem.name for problem in diagnosis.problems] == ["labels"]
    assert diagnosis.sentences == ("Error: Seen one. Means one. Do one.", "Fine one. Fine two.")
    text = str(diagnosis)
    assert text.startswith("Posterior of K = 2.\n\n1 problem found: labels.\n\nError: Seen one.")
    assert "log posterior" in text and repr(diagnosis) == text
    assert max(map(len, text.splitlines())) <= 100
    assert diagnosis["b"].seen == "Fine two."
    with pytest.raises(KeyError, match="no finding 'c'"):
        diagnosis["c"]
    assert Diagnosis("x", these[1:], frame, parts(1.0), ()).ok
    assert "No problem found." in str(Diagnosis("x", these[1:], frame, parts(1.0), ()))
