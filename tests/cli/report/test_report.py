import json

import arviz_base
import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesgmm.cli.console import plain_table
from bayesgmm.cli.report import (
    comparison_section,
    generated_section,
    membership_section,
    posterior_section,
    time_section,
)
from bayesgmm.cli.report.comparison import comparison_sections
from bayesgmm.cli.report.posterior import readable_parameters
from bayesgmm.cli.report.section import interval_name, number
from bayesgmm.diagnostics.diagnose import diagnose
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_parameters
from bayesgmm.questions.membership import membership
from bayesgmm.selection.compare import Comparison
from tests.support import noisy
from tests.support.posteriors import as_datatree, fake_posterior

COLUMNS = {
    "covariance_type": "full",
    "loglik": -100.0,
    "n_parameters": 5,
    "entropy": 1.0,
    "converged": True,
    "admissible": True,
    "n_iter": 10,
    "n_starts": 5,
    "starts_at_best": 2 / 3,
    "smallest_component": 20.0,
    "status": "",
}


def comparison(*rows: dict) -> Comparison:
    return Comparison(pd.DataFrame([COLUMNS | row for row in rows]), {})


def with_parameters(name: str, change) -> xr.DataTree:
    """Change the draws and the EM fit of a stand-in posterior alike."""
    gm, dt, X = fake_posterior(name)
    p, em = posterior_parameters(dt), gm.parameters_
    fit = GaussianMixture.from_parameters(em.weights, em.means, change(em.covariances))
    fit._feature_names, fit._units = gm.feature_names, gm.units
    return as_datatree(fit, X, MixtureParameters.from_covariances(p.weights, p.means, change(p.covariances)))


def test_the_comparison_marks_the_smallest_and_says_that_smaller_is_better() -> None:
    section = comparison_section(
        comparison(
            {"n_components": 1, "bic": 300.0, "aic": 290.0, "icl": 300.0},
            {"n_components": 2, "bic": 200.0, "aic": 190.0, "icl": 200.0},
            {"n_components": 3, "bic": 220.0, "aic": 195.0, "icl": 240.0},
        ),
        "bic",
    )
    assert "smaller is better" in section.title
    assert list(section.table["BIC"]) == ["300.0 ", "200.0*", "220.0 "]
    assert section.sentences == ("BIC, AIC and ICL all prefer K = 2.", "Going on with K = 2, chosen by BIC.")
    assert section.strong == (1,)


def test_criteria_that_disagree_are_said_in_one_sentence() -> None:
    section = comparison_section(
        comparison(
            {"n_components": 2, "bic": 200.0, "aic": 195.0, "icl": 200.0},
            {"n_components": 3, "bic": 201.5, "aic": 190.0, "icl": 240.0},
        ),
        "aic",
    )
    first, edge, chosen = section.sentences
    assert first.startswith("BIC and ICL prefer K = 2 and AIC prefers K = 3: they disagree, because")
    assert edge == "K = 3 is the largest number tried: try more with -k."
    assert chosen == "Going on with K = 3, chosen by AIC."


def test_a_model_close_behind_is_named() -> None:
    rows = [{"n_components": k, "bic": bic, "aic": bic, "icl": bic} for k, bic in ((1, 300.0), (2, 201.5), (3, 200.0))]
    said = " ".join(comparison_section(comparison(*rows)).sentences)
    assert "K = 2 is close behind: its BIC is 1.5 higher" in said
    rows[1]["bic"] = 210.0
    assert "close behind" not in " ".join(comparison_section(comparison(*rows)).sentences)


def test_a_component_of_few_rows_is_doubted() -> None:
    rows = [{"n_components": k, "bic": 10.0 - k, "aic": 1.0, "icl": 1.0} for k in (1, 9, 10)]
    rows[1] |= {"bic": -100.0, "smallest_component": 2.25}
    said = comparison_section(comparison(*rows)).sentences
    assert "The smallest component of K = 9 holds 2.2 rows: look at them before you take it for a cluster." in said


def test_models_set_aside_are_noted_and_never_preferred() -> None:
    nothing = dict.fromkeys(("loglik", "bic", "aic", "icl", "entropy", "n_parameters", "smallest_component"), np.nan)
    section = comparison_section(
        comparison(
            {"n_components": 1, "bic": 300.0, "aic": 300.0, "icl": 300.0},
            {"n_components": 2, "bic": 100.0, "aic": 100.0, "icl": 100.0, "admissible": False},
            {"n_components": 3, "bic": 90.0, "aic": 90.0, "icl": 90.0, "admissible": False, "converged": False},
            {"n_components": 4, **nothing, "admissible": False, "converged": False},
        ),
        "bic",
    )
    assert [note.partition(":")[0] for note in section.table["note"]] == ["", "set aside", "set aside", "failed"]
    assert "K = 1" in section.sentences[0]
    assert list(section.table["params"])[-1] == "-"


def test_one_model_prefers_nothing() -> None:
    section = comparison_section(comparison({"n_components": 2, "bic": 1.0, "aic": 1.0, "icl": 1.0}), "bic")
    assert section.sentences == ()


def test_families_are_named_where_there_are_several() -> None:
    section = comparison_section(
        comparison(
            {"n_components": 2, "bic": 2.0, "aic": 2.0, "icl": 2.0},
            {"n_components": 2, "covariance_type": "tied", "bic": 1.0, "aic": 1.0, "icl": 1.0},
        )
    )
    assert section.sentences[0] == "BIC, AIC and ICL all prefer tied K = 2."


def grid(*, n_families: int = 5, counts=range(1, 5), **first) -> Comparison:
    """Models whose BIC rises with the family and K, so that the first is the smallest; `first` changes that one."""
    names = ("EII", "tied", "VEV", "EEV", "full")[:n_families]
    rows = [
        {"covariance_type": name, "n_components": k} | dict.fromkeys(("bic", "aic", "icl"), 1000.0 + 100 * n + k)
        for n, name in enumerate(names)
        for k in counts
    ]
    rows[0] |= first
    return comparison(*rows)


def test_many_models_are_a_matrix_of_family_and_k_then_the_five_best_in_full() -> None:
    matrix, best = comparison_sections(grid())
    assert "smaller is better" in matrix.title
    assert list(matrix.table) == ["covariance", "K = 1", "K = 2", "K = 3", "K = 4"]
    assert list(matrix.table["covariance"]) == ["EII", "EEE (tied)", "VEV", "EEV", "VVV (full)"]
    assert list(matrix.table["K = 1"])[:2] == ["1001.0*", "1101.0 "]
    assert matrix.strong == (0,)
    assert list(best.table["BIC"]) == ["1001.0*", "1002.0 ", "1003.0 ", "1004.0 ", "1101.0 "]
    assert set(best.table["starts"]) == {"67%"}
    assert set(best.table["fewest rows"]) == {"20.0"}
    assert best.sentences[0] == "BIC, AIC and ICL all prefer EII K = 1."
    assert best.strong == (0,)


def test_the_matrix_marks_models_set_aside_and_counts_them_by_reason() -> None:
    found = grid()
    found.table.loc[[0, 1, 2, 3, 4, 5], "admissible"] = False
    found.table.loc[[6, 7], ["admissible", "converged"]] = False
    numbers = ["loglik", "n_parameters", "bic", "aic", "icl", "entropy", "smallest_component", "starts_at_best"]
    found.table[numbers] = found.table[numbers].astype(float)
    found.table.loc[7, numbers] = np.nan
    matrix, best = comparison_sections(found)
    assert list(matrix.table["K = 1"]) == ["1001.0o", "1101.0o", "1201.0*", "1301.0 ", "1401.0 "]
    assert matrix.table["K = 4"][1] == "x "
    assert "o a model set aside, x one that failed" in matrix.title
    assert best.table["covariance"].iloc[0] == "VEV"
    said = " ".join(best.sentences)
    assert (
        "6 models set aside (a component collapsed or holds too few rows): EII K = 1, EII K = 2, EII K = 3, EII K = 4 "
        "and 2 more." in said
    )
    assert "1 model set aside (not converged): tied K = 3." in said
    assert "1 model failed (every start collapsed): tied K = 4." in said


def test_the_criterion_asked_for_orders_many_models() -> None:
    found = grid()
    found.table.loc[9, "icl"] = 1.0
    matrix, best = comparison_sections(found, "icl")
    assert matrix.title.startswith("ICL")
    assert matrix.table["K = 2"][2] == "1.0*"
    assert best.table.iloc[0][["covariance", "K"]].to_list() == ["VEV", "2"]
    assert best.strong == (0,)


def test_many_numbers_of_components_are_told_in_parts() -> None:
    first, second, _ = comparison_sections(grid(counts=range(1, 13)))
    assert list(first.table)[1:] == [f"K = {k}" for k in range(1, 10)]
    assert list(second.table)[1:] == ["K = 10", "K = 11", "K = 12"]
    assert max(len(line) for line in plain_table(first).splitlines()) <= 110


def test_many_models_none_of_which_is_admissible() -> None:
    found = grid()
    found.table["admissible"] = False
    matrix, best = comparison_sections(found)
    assert "*" not in "".join(matrix.table["K = 1"])
    assert best.table is None
    assert best.sentences[0].startswith("20 models set aside")


@pytest.mark.parametrize(("n_families", "counts"), [(3, range(1, 5)), (1, range(1, 21))])
def test_few_models_or_one_family_stay_a_list(n_families: int, counts: range) -> None:
    (section,) = comparison_sections(grid(n_families=n_families, counts=counts))
    assert len(section.table) == n_families * len(counts)
    assert "starts" not in section.table


def test_parameters_are_those_of_the_draws_with_arviz_intervals_and_diagnostics() -> None:
    gm, dt, _ = fake_posterior()
    table = posterior_section(dt).table.set_index("parameter")
    first = table.iloc[:7]
    posterior = dt["posterior"].dataset
    mean = posterior["means"].sel(component=0, feature="waiting")
    row = first.loc[" mean waiting [min]"]
    assert float(row["mean"]) == pytest.approx(float(mean.mean()), abs=0.06)
    lower, upper = arviz_stats.eti(mean)
    assert (float(row["from"]), float(row["to"])) == pytest.approx((float(lower), float(upper)), abs=0.06)
    assert float(row["EM"]) == pytest.approx(gm.means_[0, 1], abs=0.06)
    assert float(row["R-hat"]) == pytest.approx(float(arviz_stats.rhat(mean)), abs=6e-4)
    assert float(row["bulk ESS"]) == pytest.approx(float(arviz_stats.ess(mean)), abs=0.6)
    sd = np.sqrt(posterior["covariances"].sel(component=0, feature="waiting", feature_bis="waiting"))
    assert float(first.loc[" sd waiting [min]", "mean"]) == pytest.approx(float(sd.mean()), abs=0.06)


def test_intervals_follow_arviz_settings() -> None:
    _, dt, _ = fake_posterior()
    with arviz_base.rc_context({"stats.ci_kind": "hdi", "stats.ci_prob": 0.5}):
        assert interval_name() == "50% highest-density interval"
        assert "50% highest-density interval" in posterior_section(dt).title
    assert interval_name() == "89% equal-tailed interval"


def test_what_a_family_shares_is_said_once_and_what_it_fixes_not_at_all() -> None:
    tied = posterior_section(with_parameters("faithful", lambda c: np.broadcast_to(c[..., :1, :, :], c.shape).copy()))
    parameters = list(tied.table["parameter"])
    assert parameters[-4:] == [
        "every component",
        " sd eruptions [min]",
        " sd waiting [min]",
        " corr eruptions, waiting",
    ]
    assert len([p for p in parameters if "sd" in p]) == 2
    diag = posterior_section(with_parameters("faithful", lambda c: c * np.eye(2)))
    assert not [p for p in diag.table["parameter"] if "corr" in p]
    assert not [s for s in diag.sentences if "corr" in s]
    round_ = posterior_section(with_parameters("faithful", lambda c: c[..., :1, :1] * np.eye(2)))
    assert list(round_.table["parameter"]).count(" sd of every feature") == 2


def test_draws_that_do_not_agree_are_not_to_be_trusted() -> None:
    gm, dt, X = fake_posterior()
    p = posterior_parameters(dt)
    apart = p.means + np.array([0.0, 5.0]).reshape(2, 1, 1, 1)
    dt = as_datatree(gm, X, MixtureParameters.from_covariances(p.weights, apart, p.covariances))
    said = posterior_section(dt).sentences
    assert said[0].startswith("Error: R-hat is ")
    assert "mean eruptions [min] of component" in said[0] or "mean waiting [min] of component" in said[0]
    assert set(diagnose(dt).sentences) <= set(said)


def test_em_values_outside_the_interval_are_named() -> None:
    gm, dt, X = fake_posterior()
    p = posterior_parameters(dt)
    assert "Every EM value lies inside its interval." in posterior_section(dt).sentences
    moved = as_datatree(gm, X, MixtureParameters.from_covariances(p.weights, p.means + 5.0, p.covariances))
    (sentence,) = (s for s in posterior_section(moved).sentences if "EM value" in s)
    assert sentence.startswith("The EM value lies outside the interval for mean eruptions [min] of component 0, ")


def test_divergences_and_interruptions_are_said() -> None:
    _, dt, _ = fake_posterior()
    dt = dt.copy(deep=True)
    assert "No divergences." in posterior_section(dt).sentences[-3]
    dt["sample_stats"]["diverging"][0, :3] = 1
    dt.attrs["bayesgmm"] = json.dumps(
        json.loads(dt.attrs["bayesgmm"]) | {"interrupted": True, "draws": 1000, "chains": 4}
    )
    said = posterior_section(dt).sentences
    stopped = "Sampling was interrupted: 2 of 4 chains and 100 of 1000 draws of each are kept."
    assert any(s.startswith(f"Warning: {stopped}") for s in said)
    assert any(s.startswith("Warning: 3 of 200 draws diverged") for s in said)


def test_one_chain_or_few_draws_have_no_r_hat() -> None:
    gm, dt, X = fake_posterior()
    p = posterior_parameters(dt)
    for few in (p[:1], p[:, :3]):
        section = posterior_section(as_datatree(gm, X, few))
        assert set(section.table["R-hat"]) == {"", "-"}
        assert any("at least" in sentence for sentence in section.sentences)


def test_one_component_has_no_weight_and_certain_members() -> None:
    _, dt, _ = fake_posterior("galaxies", 1)
    assert " weight" not in list(posterior_section(dt).table["parameter"])
    section = membership_section(membership(dt))
    assert section.table is None
    assert section.sentences == ("One component: every row belongs to it.",)


def test_correlations_are_left_out_where_they_are_too_many() -> None:
    D = 30
    p = MixtureParameters.from_covariances(np.array([0.5, 0.5]), np.zeros((2, D)), np.stack([np.eye(D)] * 2))
    names, values = readable_parameters(p, [f"x{j}" for j in range(D)], [""] * D)
    assert len(names) == values.shape[-1] == 2 * (1 + 2 * D)


def test_memberships_are_counted_from_the_table_of_memberships() -> None:
    _, dt, _ = fake_posterior()
    found = membership(dt)
    section = membership_section(found)
    label = found["label"]
    sizes, certain, switching, strange = section.sentences
    assert f"{int((label == 0).sum())} in 0, {int((label == 1).sum())} in 1" in sizes
    own = found["probability_lower"].sel(component=label)
    assert certain.startswith(f"Certain: {int((own > 0.95).sum())} of 272 rows")
    assert switching.startswith(f"Could switch: {int((found['label_agreement'] < 0.95).sum())} of 272 rows")
    assert f"a draw puts {float((1 - found['label_agreement']).sum()):.1f} rows in another" in switching
    assert strange.startswith(f"Unlike any other: {int((found['tail_probability'] < 1e-3).sum())} of 272 rows")
    probability = found["probability"].max("component")
    assert section.table["row"].iloc[0] == str(int(probability.idxmin("obs_id")))
    assert len(section.table) == 5


def test_generated_figures_stand_beside_the_real_ones() -> None:
    _, dt, X = fake_posterior()
    section = generated_section(dt, random_seed=3)
    data = section.table.set_index("figure")["data"].astype(float)
    assert data["mean waiting"] == pytest.approx(float(X.sel(feature="waiting").mean()), abs=0.06)
    assert data["sd waiting"] == pytest.approx(float(X.sel(feature="waiting").std()), abs=0.06)
    assert data["corr eruptions, waiting"] == pytest.approx(np.corrcoef(X.values.T)[0, 1], abs=6e-4)
    assert "200 generated datasets of 272 rows" in section.sentences[-1]


def test_a_dataset_that_does_not_match_is_said() -> None:
    _, dt, _ = fake_posterior()
    dt = dt.copy(deep=True)
    dt["posterior"]["means"] = dt["posterior"]["means"] + 10.0
    section = generated_section(dt, random_seed=3)
    assert list(section.table[""])[:2] == ["outside", "outside"]
    assert not section.sentences[-1].startswith("All")


def test_the_time_of_the_parts_adds_up() -> None:
    table = time_section({"imports": 1.25, "report": 0.5, "em": 2.5, "compilation": 107.0}).table
    assert list(table["part"]) == ["imports", "EM", "compilation", "report and files", "total"]
    assert list(table["seconds"]) == ["1.2", "2.5", "107.0", "0.5", "111.2"]


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.64329, 0.0941, "0.643"),
        (79.962, 1.44, "80.0"),
        (3712.4, 96.0, "3712"),
        (1.5e-12, 1e-13, "1.5e-12"),
        (2.5e12, 1e10, "2.5e+12"),
        (1.0, 0.0, "1"),
        (np.nan, 1.0, "-"),
    ],
)
def test_numbers_show_two_digits_of_what_is_uncertain(value: float, spread: float, text: str) -> None:
    assert number(value, spread) == text


def test_the_report_counts_the_rows_of_noise():
    _, dt, _draws, _ = noisy.noisy_posterior()
    found = membership(dt)
    section = membership_section(found)
    n = int((found["label"] == -1).sum())
    assert f"{n} in noise" in section.sentences[0]
    largest = np.maximum(found["probability"].max("component"), found["noise_probability"]).values
    assert section.table["probability"].iloc[0] == f"{largest.min():.3f}"
    assert "noise" in set(section.table["component"]) | set(section.table["otherwise"])


def test_the_report_gives_the_weight_of_noise_beside_the_parameters():
    _fit, dt, draws, _ = noisy.noisy_posterior()
    table = posterior_section(dt).table
    assert table["parameter"].iloc[-2] == "noise"
    last = table.iloc[-1]
    assert last["parameter"] == " weight"
    assert float(last["mean"]) == pytest.approx(draws.noise.weight.mean(), abs=0.005)
    assert float(last["EM"]) == pytest.approx(0.1, abs=0.005)
    assert last["R-hat"] != "-"


def test_the_report_compares_data_with_noise_to_generated_data_with_noise():
    _, dt, _, _ = noisy.noisy_posterior()
    section = generated_section(dt, random_seed=0)
    assert "figures of the data lie inside" in section.sentences[0]
