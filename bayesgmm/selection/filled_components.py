"""How many components an overfitted mixture fills, as a posterior."""

from dataclasses import dataclass
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

MOST_ALLOCATIONS = 20_000_000
"""Rows times draws: with more, every so many draws are looked at."""


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
    mixture = datatree.view(dt)
    if mixture.observations is None:
        raise ValueError("the DataTree has no group `observed_data`: the rows are needed to say which come from where.")
    rows = _one_each(mixture.observations)
    C, S = datatree.posterior_parameters(dt).batch_shape
    K = mixture.parameters.n_components
    step = max(1, -(-C * S * rows.n_rows // MOST_ALLOCATIONS))
    kept = np.arange(C * S).reshape(C, S)[:, ::step]
    z = draw_allocations(rows, mixture.parameters[kept.ravel()], kept.size, random_seed)
    filled = np.zeros((len(z), K), dtype=bool)
    for k in range(K):
        filled[:, k] = (z == k).any(axis=1)
    draws = filled.sum(axis=1).reshape(kept.shape)
    counts = np.arange(1, K + 1)
    meta = datatree.meta(dt)
    prior = meta["prior"] if isinstance(meta.get("prior"), dict) else {}
    e = _concentration(prior)
    noise = None if mixture.parameters.noise is None else _noise_prior(prior)
    table = pd.DataFrame(
        {
            "probability": [(draws == k).mean() for k in counts],
            "standard_error": [_mcse(draws == k) for k in counts],
            "prior": prior_of_filled(rows.n_rows, K, e, noise) if np.isfinite(e) else np.full(K, np.nan),
        },
        index=pd.Index(counts, name="filled"),
    )
    family, D = covariance_family(meta["covariance_type"]), rows.n_features
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
    if not observations.has_whole_weights:
        raise ValueError("the row weights are not whole numbers: a component filled by part of a row is not counted.")
    return observations.take(np.repeat(np.arange(observations.n_rows), weights.astype(np.int64))).unweighted()


def _concentration(prior: dict[str, Any]) -> float:
    """Concentration of the weights' prior; NaN where there is none, or not one for all components."""
    values = np.unique(prior["weights"]["concentration"]) if prior else np.empty(0)
    return float(values[0]) if values.size == 1 else np.nan


def _noise_prior(prior: dict[str, Any]) -> tuple[float, float]:
    """Alpha and beta of the prior of the share of noise; NaN where it is not told."""
    noise = prior.get("noise")
    return (float(noise["alpha"]), float(noise["beta"])) if noise else (np.nan, np.nan)


def _mcse(indicator: np.ndarray) -> float:
    """Monte Carlo error of a probability, from whether it was so in each draw (chain, draw)."""
    if indicator.all() or not indicator.any():
        return 0.0
    return float(arviz_stats.mcse(indicator.astype(np.float64), method="mean", chain_axis=0, draw_axis=1))
