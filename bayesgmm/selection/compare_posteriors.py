"""Which mixture, by every criterion at once: their values, their errors, and why they disagree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import softmax

from bayesgmm.diagnostics.findings import LARGEST_PARETO_K
from bayesgmm.em.criteria import criteria
from bayesgmm.posterior import datatree
from bayesgmm.selection.evidence import EvidenceError, LogEvidence, log_evidence
from bayesgmm.selection.leave_one_out import LeaveOneOut, leave_one_out
from bayesgmm.selection.waic import waic

ASKS = {
    "LOO": "which posterior predicts a new row best",
    "evidence": "which model, prior included, made the data most probable",
    "BIC": "which maximum-likelihood fit is best when each parameter costs log(N) / 2",
    "ICL": "the same as BIC, but only for fits whose clusters do not overlap",
}
"""What each criterion asks."""

COLUMNS = {"LOO": "elpd_loo", "evidence": "log_evidence", "BIC": "bic", "ICL": "icl"}
"""Column of the table that holds it."""


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorComparison:
    """Criteria of several posteriors of the same data, side by side.

    Attributes
    ----------
    table : DataFrame
        A row for each posterior, best LOO first. ``n_components``, ``covariance_type``, ``noise`` (whether there is
        a noise component); ``elpd_loo``,
        ``elpd_loo_error``, ``p_loo``, ``elpd_difference`` from the best and ``difference_error``, ``n_bad_k`` (rows
        with a Pareto k above 0.7 left after refits), ``n_refitted``; ``weight_stacking``, ``weight_pseudo_bma``;
        ``elpd_waic``; ``log_evidence``, ``log_evidence_error`` and ``probability`` (of the model, given the data and
        equal prior probabilities); ``bic``, ``aic``, ``icl`` of the EM fit (smaller is better). elpd and evidence:
        greater is better.
    evidence_refusals : dict
        Why there is no evidence, by name, for the posteriors that have none.
    """

    table: pd.DataFrame
    evidence_refusals: dict[str, str]

    def best(self, criterion: str) -> str:
        """Return the name of the best posterior by "LOO", "evidence", "BIC" or "ICL".

        Raises
        ------
        ValueError
            For another criterion, or when no posterior has a value.
        """
        if criterion not in COLUMNS:
            raise ValueError(f"`criterion` must be one of {', '.join(COLUMNS)}; received {criterion!r}.")
        values = self.table[COLUMNS[criterion]].dropna()
        if values.empty:
            raise ValueError(f"no posterior has a value of {criterion}.")
        return str(values.idxmin() if criterion in ("BIC", "ICL") else values.idxmax())

    def sentences(self) -> list[str]:
        """Say what each criterion asks and finds, whether they disagree here, and why."""
        best = {name: self.best(name) for name in ASKS if self._has(name)}
        said = [f"{name} asks {ASKS[name]}: {of_it}{self._margin(name)}." for name, of_it in best.items()]
        noisy = [str(name) for name in self.table.index[self.table["noise"].astype(bool)]]
        if noisy:
            said.append(
                f"Noise ({', '.join(noisy)}) is uniform over a background that was fixed before the fit: every "
                "criterion is conditional on it, the evidence above all, which falls where it is made larger."
            )
        if len(set(best.values())) == 1:
            said.append("They agree.")
            return said
        said.append("They disagree: they ask different questions.")
        said += self._reasons(best)
        said += [f"No evidence for {name}: {why}" for name, why in self.evidence_refusals.items()]
        return said

    def __str__(self) -> str:
        """Table and sentences."""
        columns = ["n_components", "covariance_type", "elpd_loo", "elpd_loo_error", "log_evidence", "bic", "icl"]
        return self.table[columns].round(2).to_string() + "\n" + "\n".join(self.sentences())

    def _has(self, criterion: str) -> bool:
        return criterion != "evidence" or bool(self.table["log_evidence"].notna().any())

    def _margin(self, criterion: str) -> str:
        """How far the best is from the next, in its own error where it has one."""
        if len(self.table) == 1:
            return ""
        if criterion == "LOO":
            second = self.table.iloc[1]
            gap, error = -second["elpd_difference"], second["difference_error"]
            clear = "" if gap > 2 * error else "; less than two errors, so it does not decide between them"
            return f", by {gap:.1f} from {self.table.index[1]} (standard error {error:.1f}{clear})"
        if criterion == "evidence":
            values = self.table["log_evidence"].dropna().sort_values(ascending=False)
            if len(values) < 2:
                return ""
            probability = self.table.loc[values.index[0], "probability"]
            return f", with probability {probability:.2g} among these if they were equally probable before"
        values = self.table[COLUMNS[criterion]].sort_values()
        return f", by {values.iloc[1] - values.iloc[0]:.1f} from {values.index[1]}"

    def _reasons(self, best: dict[str, str]) -> list[str]:
        """Why two criteria chose otherwise, from the best by each."""
        K = self.table["n_components"]
        reasons = []
        if K[best["ICL"]] < K[best["BIC"]]:
            reasons.append(
                "ICL has fewer components than BIC: some of BIC's overlap. They describe the density, not clusters "
                "that can be told apart."
            )
        if "evidence" in best and best["evidence"] != best["LOO"]:
            which = "fewer" if K[best["evidence"]] < K[best["LOO"]] else "more"
            reasons.append(
                f"The evidence prefers {which} components than LOO: it averages the likelihood over the prior, and "
                "changes with the prior's width; LOO looks at predictions after the data were seen, and hardly does. "
                "With a prior that you would defend, ask the evidence for the number of components, and LOO for "
                "prediction."
            )
        if best["BIC"] != best["LOO"]:
            reasons.append(
                "BIC and LOO differ: BIC's penalty grows with log N and looks for the smallest model that holds; LOO "
                "keeps what predicts, however little it adds."
            )
        return reasons


def compare_posteriors(
    posteriors: Mapping[str, xr.DataTree],
    *,
    evidence: bool = True,
    refit: bool = True,
    random_seed: int | None = None,
    progressbar: bool = False,
) -> PosteriorComparison:
    """Compare posteriors of the same data: LOO, evidence, WAIC, EM criteria.

    Parameters
    ----------
    posteriors : mapping of str to DataTree
        Of `sample_posterior`, on the same rows.
    evidence : bool
        Whether to compute the log evidence of each (`log_evidence`).
    refit : bool
        Whether LOO samples anew without each row whose Pareto k is above 0.7, under the stored prior.
    random_seed : int, optional
    progressbar : bool

    Returns
    -------
    PosteriorComparison
        ``table``, and ``sentences()``; ``print`` shows both.

    Raises
    ------
    ValueError
        When there is none, or two were fitted to different rows.
    """
    if not posteriors:
        raise ValueError("nothing to compare: pass a dict of posteriors by name, {'K=2': dt2, 'K=3': dt3}.")
    _check_same_rows(posteriors)
    seeds = np.random.SeedSequence(random_seed).generate_state(2 * len(posteriors))
    rows: dict[str, dict[str, Any]] = {}
    left_out: dict[str, LeaveOneOut] = {}
    refusals: dict[str, str] = {}
    for i, (name, dt) in enumerate(posteriors.items()):
        left_out[name] = leave_one_out(dt, refit=refit, random_seed=int(seeds[2 * i]), progressbar=progressbar)
        of_model: LogEvidence | None = None
        if evidence:
            try:
                of_model = log_evidence(dt, random_seed=int(seeds[2 * i + 1]))
            except EvidenceError as error:
                refusals[name] = str(error)
        rows[name] = _row(dt, left_out[name], of_model)
    table = pd.DataFrame.from_dict(rows, orient="index")
    elpd = {name: one.elpd for name, one in left_out.items()}
    table["weight_stacking"] = _weights(elpd, "stacking")
    table["weight_pseudo_bma"] = _weights(elpd, "BB-pseudo-BMA")
    values = table["log_evidence"].to_numpy(dtype=float)
    table["probability"] = softmax(values) if np.isfinite(values).all() else np.nan
    best = table["elpd_loo"].idxmax()
    differences = {name: np.asarray((elpd[name].elpd_i - elpd[best].elpd_i).values) for name in elpd}
    table["elpd_difference"] = pd.Series({name: d.sum() for name, d in differences.items()})
    table["difference_error"] = pd.Series({name: np.sqrt(d.size) * d.std(ddof=1) for name, d in differences.items()})
    return PosteriorComparison(table.sort_values("elpd_loo", ascending=False), refusals)


def _check_same_rows(posteriors: Mapping[str, xr.DataTree]) -> None:
    first: tuple[str, np.ndarray] | None = None
    for name, dt in posteriors.items():
        if "observed_data" not in dt.children:
            raise ValueError(f"{name!r} has no group `observed_data`: expected what `sample_posterior` returns.")
        values = np.asarray(dt["observed_data"]["x"].values)
        if first is None:
            first = (name, values)
        elif values.shape != first[1].shape or not np.array_equal(values, first[1], equal_nan=True):
            raise ValueError(
                f"{name!r} was fitted to other rows than {first[0]!r} (shapes {values.shape} and {first[1].shape}): "
                "criteria compare models of the same data only."
            )


def _row(dt: xr.DataTree, left_out: LeaveOneOut, evidence: LogEvidence | None) -> dict[str, Any]:
    """Give what the table says of one posterior by itself."""
    meta = datatree.meta(dt)
    em = datatree.em_fit(dt)
    observations = datatree.view(dt).observations
    assert observations is not None
    of_em = criteria(observations, em.parameters_, em.n_parameters_)
    elpd = left_out.elpd
    return {
        "n_components": meta["n_components"],
        "covariance_type": meta["covariance_type"],
        "noise": datatree.background(dt) is not None,
        "elpd_loo": elpd.elpd,
        "elpd_loo_error": elpd.se,
        "p_loo": elpd.p,
        "n_bad_k": int((np.asarray(elpd.pareto_k.values) > LARGEST_PARETO_K).sum()),
        "n_refitted": int(left_out.refitted.sum()),
        "elpd_waic": waic(dt).elpd,
        "log_evidence": np.nan if evidence is None else evidence.value,
        "log_evidence_error": np.nan if evidence is None else evidence.standard_error,
        "bic": of_em.bic,
        "aic": of_em.aic,
        "icl": of_em.icl,
    }


def _weights(elpd: dict[str, Any], method: str) -> pd.Series:
    """Weight of each posterior in a mean of their predictions, by ArviZ."""
    if len(elpd) == 1:
        return pd.Series(dict.fromkeys(elpd, 1.0))
    return arviz_stats.compare(elpd, method=method, round_to="none")["weight"]
