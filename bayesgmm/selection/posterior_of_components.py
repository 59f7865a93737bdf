"""How many components, as a posterior: from the evidence of each number of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, hypot, log
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import softmax

from bayesgmm.mixture.noise import Background
from bayesgmm.posterior import datatree
from bayesgmm.posterior.intervals import interval
from bayesgmm.selection.compare_posteriors import PosteriorComparison
from bayesgmm.selection.evidence import LogEvidence, log_evidence
from bayesgmm.tools.integers import is_integer

SIMULATED = 10_000
"""Times that the evidences are drawn anew from their errors."""

MOST_FACTOR = 1e6
"""Bayes factors above are not written out."""


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorOfComponents:
    """Posterior of the number of components K over a range of it.

    Attributes
    ----------
    table : DataFrame
        A row for each K, in rising order: ``log_evidence`` and its ``standard_error`` (natural log); ``prior`` and
        ``probability``, P(K) and P(K | data), each summing to one over the rows; ``probability_lower`` and
        ``probability_upper``, an interval for what the errors of the evidence leave open.
    """

    table: pd.DataFrame

    @property
    def most_probable(self) -> int:
        """The K with the greatest posterior probability."""
        return int(self.table["probability"].idxmax())

    def log_bayes_factor(self, K: int, other: int) -> tuple[float, float]:
        """Return log p(data | K) - log p(data | other), and its standard error."""
        for asked in (K, other):
            if asked not in self.table.index:
                raise ValueError(f"there is no evidence of K = {asked}; there is of {list(self.table.index)}.")
        one, two = self.table.loc[K], self.table.loc[other]
        error = 0.0 if K == other else hypot(one["standard_error"], two["standard_error"])
        return float(one["log_evidence"] - two["log_evidence"]), error

    def sentences(self) -> list[str]:
        """Say which K is most probable, how firmly, and what the errors leave open."""
        best, table = self.most_probable, self.table
        row = table.loc[best]
        said = [
            f"K = {best} is the most probable: {row['probability']:.2f} (from {row['probability_lower']:.2f} to "
            f"{row['probability_upper']:.2f} for the errors of the evidence), a priori {row['prior']:.2f}."
        ]
        others = table.drop(best)["probability"]
        if len(others):
            second = int(others.idxmax())
            factor, error = self.log_bayes_factor(best, second)
            times = f"{exp(abs(factor)):.3g} times" if abs(factor) < log(MOST_FACTOR) else "more than a million times"
            data = f"K = {best}" if factor >= 0 else f"K = {second}"
            said.append(
                f"Next is K = {second}: the data are {times} as probable under {data} (log Bayes factor "
                f"{factor:.2f}, standard error {error:.2f})."
            )
        if len(table) > 1 and best == table.index[-1]:
            said.append(f"K = {best} is the largest that was tried: try more.")
        return said

    def __str__(self) -> str:
        """Table and sentences."""
        return self.table.round(3).to_string() + "\n" + "\n".join(self.sentences())


def posterior_of_components(
    evidences: "Mapping[int, LogEvidence | xr.DataTree | float] | PosteriorComparison",
    prior: Mapping[int, float] | Callable[[int], float] | None = None,
    *,
    ci_prob: float | None = None,
    random_seed: int | None = None,
) -> PosteriorOfComponents:
    """Turn the evidence of each K into P(K | data) and Bayes factors.

    P(K | data) = P(K) p(data | K) / sum_j P(j) p(data | j), over the K that are given and no others. Its interval
    comes from simulating each log evidence from a normal distribution around its value, with its standard error.

    Parameters
    ----------
    evidences : mapping or PosteriorComparison
        For each K its `log_evidence`, or the posterior to compute it from, or an exact number. Or what
        `compare_posteriors` returned for one family. All of the same data, the same family, and priors that differ by
        K alone.
    prior : mapping or function, optional
        P(K), up to a factor: a number for each K, or a function of it. By default all K are equally probable; a
        Poisson distribution with mean 1 cut off at 0, ``lambda K: 1 / math.factorial(K)``, is a common other choice
        (Nobile 2005).
    ci_prob : float, optional
        Of the interval; ``az.rcParams["stats.ci_prob"]`` by default.
    random_seed : int, optional

    Returns
    -------
    PosteriorOfComponents
        Its ``table`` has a row for each K.

    Raises
    ------
    ValueError
        When a K is no positive integer, an evidence is missing or not finite, models of several families are mixed, or
        the prior has no probability for a K.
    EvidenceError
        When a posterior cannot support an evidence.

    References
    ----------
    Richardson & Green (1997), J. R. Stat. Soc. B 59, 731-792. Nobile (2005), "Bayesian finite mixtures: a note on
    prior specification and posterior computation", University of Glasgow.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> found = bg.posterior_of_components({1: -246.1, 2: -239.8}, prior={1: 0.5, 2: 0.5})
    >>> found.table["probability"].round(4).tolist()
    [0.0018, 0.9982]
    """
    by_count = _evidences(evidences, random_seed)
    counts = sorted(by_count)
    log_z, errors = (np.array([by_count[K][side] for K in counts]) for side in (0, 1))
    shares = _prior(prior, counts)
    rng = np.random.default_rng(random_seed)
    simulated = _probabilities(log_z + errors * rng.standard_normal((SIMULATED, len(counts))), shares)
    lower, upper = interval(simulated, ci_prob)
    table = pd.DataFrame(
        {
            "log_evidence": log_z,
            "standard_error": errors,
            "prior": shares,
            "probability": _probabilities(log_z, shares),
            "probability_lower": lower,
            "probability_upper": upper,
        },
        index=pd.Index(counts, name="K"),
    )
    return PosteriorOfComponents(table)


def _probabilities(log_evidence: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """P(K | data) over the last axis."""
    with np.errstate(divide="ignore"):
        return np.asarray(softmax(log_evidence + np.log(prior), axis=-1))


def _evidences(evidences: Any, random_seed: int | None) -> dict[int, tuple[float, float]]:
    """Value and standard error by K."""
    if isinstance(evidences, PosteriorComparison):
        return _of_comparison(evidences)
    if not isinstance(evidences, Mapping) or not evidences:
        raise ValueError("`evidences` must map each K to its log evidence or posterior, as {1: dt1, 2: dt2}.")
    by_count: dict[int, tuple[float, float]] = {}
    backgrounds: list[Background | None] = []
    seeds = np.random.SeedSequence(random_seed).generate_state(len(evidences))
    for (K, one), seed in zip(evidences.items(), seeds, strict=True):
        if not is_integer(K) or K < 1:
            raise ValueError(f"each key of `evidences` must be a number of components, at least 1; received {K!r}.")
        if isinstance(one, xr.DataTree):
            if (stored := int(datatree.meta(one)["n_components"])) != K:
                raise ValueError(f"the posterior given for K = {K} has {stored} components.")
            backgrounds.append(datatree.background(one))
            if not _same(backgrounds[0], backgrounds[-1]):
                raise ValueError(f"the posterior given for K = {K} has another noise component than one before it.")
            one = log_evidence(one, random_seed=int(seed))
        value, error = (one.value, one.standard_error) if isinstance(one, LogEvidence) else (float(one), 0.0)
        if not np.isfinite(value) or not error >= 0:
            raise ValueError(f"the log evidence of K = {K} is {value} with standard error {error}: it must be finite.")
        by_count[int(K)] = (value, error)
    return by_count


def _same(one: Background | None, other: Background | None) -> bool:
    """Whether two mixtures have the same background of noise, or both have none."""
    return one is other if one is None or other is None else one.same_as(other)


def _of_comparison(comparison: PosteriorComparison) -> dict[int, tuple[float, float]]:
    """Value and standard error by K, of a comparison of one model for each K."""
    table = comparison.table
    families = sorted(set(table["covariance_type"]))
    if len(families) > 1 or table["n_components"].duplicated().any():
        raise ValueError(
            f"the comparison has {len(table)} models of the families {', '.join(families)}: P(K | data) needs one "
            "model for each K."
        )
    if "noise" in table and table["noise"].nunique() > 1:
        raise ValueError("some models of the comparison have noise and some have none: P(K | data) needs one kind.")
    if len(missing := table.index[table["log_evidence"].isna()]):
        why = comparison.evidence_refusals.get(missing[0], "it was not asked for.")
        raise ValueError(f"{missing[0]} has no evidence: {why}")
    return {
        int(row["n_components"]): (float(row["log_evidence"]), float(row["log_evidence_error"]))
        for _, row in table.iterrows()
    }


def _prior(prior: Any, counts: list[int]) -> np.ndarray:
    """P(K) for each K, summing to one."""
    if prior is None:
        return np.full(len(counts), 1.0 / len(counts))
    if isinstance(prior, Mapping):
        if without := [K for K in counts if K not in prior]:
            raise ValueError(f"`prior` has no probability for K = {without[0]}; it has {sorted(prior)}.")
        shares = np.array([float(prior[K]) for K in counts])
    elif callable(prior):
        shares = np.array([float(prior(K)) for K in counts])
    else:
        raise ValueError(f"`prior` must be a mapping or a function of K; received {prior!r}.")
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError(f"`prior` must be positive and finite for each K; received {shares.tolist()}.")
    return np.asarray(shares / shares.sum())
