"""How many components, as a posterior: from the evidence of each K, and from an overfitted mixture's filled ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, hypot, log
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import betabinom

from bayesgmm.data.observations import Observations
from bayesgmm.em.families import covariance_family
from bayesgmm.kernel.allocations import draw_allocations
from bayesgmm.posterior import datatree
from bayesgmm.posterior.intervals import interval
from bayesgmm.selection.compare_posteriors import PosteriorComparison
from bayesgmm.selection.evidence import LogEvidence, log_evidence

SIMULATED = 10_000
MOST_ALLOCATIONS = 20_000_000
MOST_FACTOR = 1e6


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
        best, found = self.most_probable, self.table
        row = found.loc[best]
        said = [
            f"K = {best} is the most probable: {row['probability']:.2f} (from {row['probability_lower']:.2f} to "
            f"{row['probability_upper']:.2f} for the errors of the evidence), a priori {row['prior']:.2f}."
        ]
        others = found.drop(best)["probability"]
        if len(others):
            second = int(others.idxmax())
            factor, error = self.log_bayes_factor(best, second)
            times = f"{exp(abs(factor)):.3g} times" if abs(factor) < log(MOST_FACTOR) else "more than a million times"
            data = f"K = {best}" if factor >= 0 else f"K = {second}"
            said.append(
                f"Next is K = {second}: the data are {times} as probable under {data} (log Bayes factor "
                f"{factor:.2f}, standard error {error:.2f})."
            )
        if len(found) > 1 and best == found.index[-1]:
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
    values = _evidences(evidences, random_seed)
    counts = sorted(values)
    log_z = np.array([values[K][0] for K in counts])
    errors = np.array([values[K][1] for K in counts])
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
        joint = log_evidence + np.log(prior)
    shares = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _evidences(evidences: Any, random_seed: int | None) -> dict[int, tuple[float, float]]:
    """Value and standard error by K."""
    if isinstance(evidences, PosteriorComparison):
        return _of_comparison(evidences)
    if not isinstance(evidences, Mapping) or not evidences:
        raise ValueError("`evidences` must map each K to its log evidence or posterior, as {1: dt1, 2: dt2}.")
    found: dict[int, tuple[float, float]] = {}
    backgrounds: set[str] = set()
    seeds = np.random.SeedSequence(random_seed).generate_state(len(evidences))
    for (K, one), seed in zip(evidences.items(), seeds, strict=True):
        if isinstance(K, bool) or not isinstance(K, int | np.integer) or K < 1:
            raise ValueError(f"each key of `evidences` must be a number of components, at least 1; received {K!r}.")
        if isinstance(one, xr.DataTree):
            if (stored := int(datatree.meta(one)["n_components"])) != K:
                raise ValueError(f"the posterior given for K = {K} has {stored} components.")
            backgrounds.add(repr(datatree.meta(one).get(datatree.NOISE)))
            if len(backgrounds) > 1:
                raise ValueError(f"the posterior given for K = {K} has another noise component than one before it.")
            one = log_evidence(one, random_seed=int(seed))
        value, error = (one.value, one.standard_error) if isinstance(one, LogEvidence) else (float(one), 0.0)
        if not np.isfinite(value) or not error >= 0:
            raise ValueError(f"the log evidence of K = {K} is {value} with standard error {error}: it must be finite.")
        found[int(K)] = (value, error)
    return found


def _of_comparison(comparison: PosteriorComparison) -> dict[int, tuple[float, float]]:
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


@dataclass(frozen=True, slots=True, eq=False)
class FilledComponents:
    """Posterior of the number of filled components K+: those that at least one row comes from.

    Attributes
    ----------
    table : DataFrame
        A row for each number of filled components, from 1 to K: ``probability`` given the data, its Monte Carlo
        ``standard_error``, and ``prior``, its probability before the data, for as many rows (NaN where the prior of the
        weights is not a Dirichlet with one concentration). Rows of noise fill no component.
    draws : (chain, draw) int array
        Number of filled components in each draw.
    concentration : float
        Of the weights' Dirichlet prior; NaN where it has several.
    largest_emptying : float
        Half the number of parameters that a component has of its own. With a concentration below it the posterior
        empties components that are not needed, as rows grow in number; with one above it merges them (Rousseau &
        Mengersen 2011, theorem 1).
    """

    table: pd.DataFrame
    draws: np.ndarray
    concentration: float
    largest_emptying: float

    @property
    def most_probable(self) -> int:
        """The most probable number of filled components."""
        return int(self.table["probability"].idxmax())

    def sentences(self) -> list[str]:
        """Say how many are filled, and whether the prior lets the others be empty."""
        best, K = self.most_probable, int(self.table.index[-1])
        probability, prior = self.table.loc[best, "probability"], self.table.loc[best, "prior"]
        before = "" if np.isnan(prior) else f", a priori {prior:.2f}"
        said = [f"Of {K} components {best} are filled, with probability {probability:.2f}{before}."]
        if best == K:
            said.append("All are: the mixture is not overfitted, and a larger K may be needed.")
        if not self.concentration < self.largest_emptying:
            said.append(
                f"The concentration of the weights is not below {self.largest_emptying:g}, half the number of "
                "parameters of a component: components that are not needed are not emptied, and this number says "
                "little. Sample with a smaller one."
            )
        return said

    def __str__(self) -> str:
        """Table and sentences."""
        return self.table.round(3).to_string() + "\n" + "\n".join(self.sentences())


def filled_components(dt: xr.DataTree, *, random_seed: int | None = None) -> FilledComponents:
    """Count the filled components of an overfitted mixture, as a posterior.

    A mixture with more components than needed and a sparse Dirichlet prior leaves the others empty: draw by draw the
    component of every row is drawn, z_n ~ (r_n1 ... r_nK), and the components that have a row are counted
    (Malsiner-Walli, Frühwirth-Schnatter & Grün 2016). Sample it with

        prior = bg.Prior(weights=bg.priors.Dirichlet(0.1))
        dt = bg.sample_posterior(X, 10, prior=prior)

    Parameters
    ----------
    dt : DataTree
        Of `sample_posterior`.
    random_seed : int, optional

    Returns
    -------
    FilledComponents

    Raises
    ------
    ValueError
        When rows have sampling weights, which are not counts, or no rows are kept.

    Notes
    -----
    A cross-check of `posterior_of_components`, not the same number: it has another prior, and a component with one row
    counts. That prior of K+ is in the table: rows come one by one, and the next opens one of the K - k empty components
    with probability (K - k) e / (K e + n) after n rows, e the concentration (a Pólya urn).

    Few draws pass between numbers of components at once where e is very small: the standard error says so, if chains
    disagree.

    References
    ----------
    Rousseau & Mengersen (2011), J. R. Stat. Soc. B 73, 689-710. Malsiner-Walli, Frühwirth-Schnatter & Grün (2016),
    Statistics and Computing 26, 303-324.
    """
    view = datatree.view(dt)
    if view.observations is None:
        raise ValueError("the DataTree has no group `observed_data`: the rows are needed to say which come from where.")
    rows = _one_each(view.observations)
    shape = datatree.posterior_parameters(dt).batch_shape
    K = view.parameters.n_components
    step = max(1, -(-shape[0] * shape[1] * rows.n_rows // MOST_ALLOCATIONS))
    kept = np.arange(shape[0] * shape[1]).reshape(shape)[:, ::step]
    z = draw_allocations(rows, view.parameters[kept.ravel()], kept.size, random_seed)
    filled = np.zeros((len(z), K), dtype=bool)
    for k in range(K):
        filled[:, k] = (z == k).any(axis=1)
    draws = filled.sum(axis=1).reshape(kept.shape)
    counts = np.arange(1, K + 1)
    e = _concentration(dt)
    table = pd.DataFrame(
        {
            "probability": [(draws == k).mean() for k in counts],
            "standard_error": [_mcse(draws == k) for k in counts],
            "prior": prior_of_filled(rows.n_rows, K, e, _noise_prior(dt)) if np.isfinite(e) else np.full(K, np.nan),
        },
        index=pd.Index(counts, name="filled"),
    )
    family, D = covariance_family(datatree.meta(dt)["covariance_type"]), rows.n_features
    own = family.n_parameters(2, D) - family.n_parameters(1, D) - 1
    return FilledComponents(table, draws, e, own / 2)


def prior_of_filled(
    n_rows: int, n_components: int, concentration: float, noise: tuple[float, float] | None = None
) -> np.ndarray:
    """Give P(K+ = 1 ... K) for N rows when weights ~ Dirichlet(concentration), by Pólya's urn, row by row; (K,).

    With pi_0 ~ Beta(alpha, beta), ``noise``, the rows that are not noise are BetaBinomial(N, beta, alpha) in number.
    """
    K, e = n_components, concentration
    filled = np.arange(K + 1)
    share = np.zeros(K + 1)
    share[0] = 1.0
    among = None if noise is None else betabinom(n_rows, noise[1], noise[0]).pmf(np.arange(n_rows + 1))
    total = share * (0.0 if among is None else among[0])
    for n in range(n_rows):
        opens = (K - filled) * e / (K * e + n)
        share = share * (1.0 - opens) + np.concatenate([[0.0], (share * opens)[:-1]])
        if among is not None:
            total = total + among[n + 1] * share
    return (share if among is None else total)[1:]


def _one_each(observations: Observations) -> Observations:
    """Rows that count for several, repeated: each copy has a component of its own."""
    weights = observations.weights
    if weights is None:
        return observations
    if not (weights == np.round(weights)).all():
        raise ValueError("the row weights are not whole numbers: a component filled by part of a row is not counted.")
    return observations.take(np.repeat(np.arange(observations.n_rows), weights.astype(np.int64))).unweighted()


def _concentration(dt: xr.DataTree) -> float:
    stored = datatree.meta(dt).get("prior")
    value = np.unique(stored["weights"]["concentration"]) if isinstance(stored, dict) else np.empty(0)
    return float(value[0]) if value.size == 1 else np.nan


def _noise_prior(dt: xr.DataTree) -> tuple[float, float] | None:
    """Alpha and beta of the prior of the share of noise; None without noise."""
    if datatree.posterior_parameters(dt).noise is None:
        return None
    stored = datatree.meta(dt).get("prior")
    noise = stored.get("noise") if isinstance(stored, dict) else None
    return (float(noise["alpha"]), float(noise["beta"])) if noise else (np.nan, np.nan)


def _mcse(indicator: np.ndarray) -> float:
    if indicator.all() or not indicator.any():
        return 0.0
    return float(arviz_stats.mcse(indicator.astype(np.float64), method="mean", chain_axis=0, draw_axis=1))
