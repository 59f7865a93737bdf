"""goodness_of_fit: real data against generated, by figures of both. Composition of this folder's parts."""

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import gammaincinv

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import random_positions
from bayesgmm.diagnostics.goodness_of_fit import discrepancies, p_values, two_sample
from bayesgmm.diagnostics.goodness_of_fit.grain import grain, n_repeated, to_grain
from bayesgmm.diagnostics.goodness_of_fit.loo import leave_one_out_pit
from bayesgmm.diagnostics.goodness_of_fit.result import ROUNDING, Check, GoodnessOfFit, say, tabulate
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.draws import mean_mixture
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.datatree import COMPONENT, MixtureView, meta, view
from bayesgmm.questions.quantiles import PROBABILITY
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.progress import progress

MOST_PAIRS = 45
"""Pairs that are looked at, chosen at random where there are more: all of ten features."""

QUANTILES = np.concatenate([np.arange(0.01, 0.95, 0.02), [0.95, 0.97, 0.98, 0.99, 0.995]])


def goodness_of_fit(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    refit: bool | None = None,
    n_datasets: int = 199,
    max_rows: int = 2000,
    level: float = 0.05,
    classifier: Any = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> GoodnessOfFit:
    """Compare real data with generated, and say what does not match.

    `n_datasets` datasets of as many rows are generated, each from its own posterior draw. Figures of the data are
    ranked among the same figures of those: Kolmogorov-Smirnov distances of marginals; chi-squared of pairs on
    Rosenblatt's unit square; Mahalanobis distances within components against chi-squared, and their kurtosis; modes of
    a kernel density of each feature; how often nearest neighbours are of the same sample, and how well a classifier
    tells, real rows from generated ones; repeated values.

    A mixture lies closer to the rows it was fitted to than to others, so its own rows are compared with generated ones
    *that it was fitted to as well*: EM runs anew on each dataset and on the data (a parametric bootstrap). New rows,
    and datasets generated beside them, are looked at by the one mixture, without a refit.

    Where values are rounded, generated ones are rounded alike before all other checks, so that these speak of what is
    left; "rounding" itself is a check. Noise in a box is a part of the mixture, generated and refitted with it, its box
    held as it is.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (pass its rows as `X`).
    X : table, optional
        (N, D) rows to compare; the fitted rows by default.
    refit : bool, optional
        Whether the mixture was fitted to these very rows. By default yes, unless `X` is given with a posterior.
    n_datasets : int
        Datasets to generate, at least 19; the smallest p-value is 1 / (n_datasets + 1).
    max_rows : int
        Rows looked at; a random sample of them where there are more.
    level : float
        The chance that any check is called a mismatch where the model is right.
    classifier : scikit-learn classifier, optional
        For the classifier two-sample test; a classification tree by default.
    random_seed : int or Generator, optional
    progressbar : bool
        Whether to show progress on a terminal.

    Returns
    -------
    GoodnessOfFit
        ``table``, ``verdict``, ``matches``, ``distances`` (for a Q-Q plot) and ``loo_pit``.

    Raises
    ------
    ValueError
        When rows are not kept, incomplete, measured with errors, weighted or too few, a number is out of range, or
        noise is uniform in a hull.

    Notes
    -----
    p-values are exact where the rows and the generated datasets are exchangeable: new rows, given the posterior. For
    fitted rows they are those of the parametric bootstrap: exact up to how much the distribution of a figure changes
    between the true parameters and the drawn ones. A mixture of another K, or a density that is close to one, passes
    where the rows are too few to tell: no mismatch is no proof.

    References
    ----------
    Stute, Gonzales Manteiga & Presedo Quindimil (1993), Bootstrap based goodness-of-fit tests, Metrika 40.
    Robins, van der Vaart & Ventura (2000), Asymptotic distribution of p values in composite null models, JASA 95.
    Westfall & Young (1993), Resampling-Based Multiple Testing.
    """
    mixture = view(dt)
    rows = _rows(mixture, X)
    noise = mixture.parameters.noise
    if noise is not None and noise.background.facets is not None:
        raise BackgroundError(
            "`goodness_of_fit` does not know noise in a hull yet: single features of it are not uniform. Fit with the "
            "box."
        )
    n_datasets, max_rows = check_integer("n_datasets", n_datasets, 19), check_integer("max_rows", max_rows, 50)
    if not 0 < level < 1:
        raise ValueError(f"`level` must be strictly between 0 and 1; received {level!r}.")
    refit = (X is None or isinstance(dt, GaussianMixture)) if refit is None else bool(refit)
    rng = np.random.default_rng(random_seed)
    values = np.asarray(rows.values, dtype=np.float64)
    if len(values) > max_rows:
        values = values[random_positions(len(values), max_rows, rng)]
    steps = np.array([grain(column) for column in values.T])
    comparison = _Comparison(
        reference=mean_mixture(mixture.parameters),
        covariance_type=_family(dt) if refit else None,
        steps=steps,
        pairs=_pairs(values.shape[1], rng),
        classifier=two_sample.default_classifier() if classifier is None else classifier,
    )
    every = mixture.parameters
    S = every.batch_shape[0]
    draws = rng.choice(S, size=n_datasets, replace=n_datasets > S)
    examined = [comparison.figures(values, comparison.reference, rng)]
    with progress("generated datasets", n_datasets, show=progressbar) as advance:
        for s in draws:
            examined.append(comparison.figures(draw_rows(rng, every[s], len(values))[0], every[s], rng))
            advance(1)
    figures, quantiles = (np.stack(part) for part in zip(*examined, strict=True))
    checks = comparison.checks(mixture.feature_names)
    two_sided = np.array([check.two_sided for check in checks])
    skew = np.array([check.skew for check in checks])
    even = np.where(skew, np.log(np.where(skew, figures, 1.0) + np.finfo(float).tiny), figures)
    table = tabulate(checks, figures, p_values.ranks(even, two_sided), p_values.adjusted(even, two_sided), level)
    own_rows = X is None and mixture.has_draws and len(rows.values) >= 2
    return GoodnessOfFit(
        table,
        say(checks, table, figures),
        float(level),
        int(n_datasets),
        len(values),
        refit,
        _distances(quantiles, values.shape[1]),
        leave_one_out_pit(mixture, steps, rng) if own_rows else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """How a dataset becomes figures, the same way for the data and for generated ones.

    Attributes
    ----------
    reference : MixtureParameters
        The mixture that looks at new rows, and where EM starts on the data.
    covariance_type : str or None
        Family to refit; None where there is no refit.
    steps : (D,) float64
        What values are rounded to; 0 for not at all.
    """

    reference: MixtureParameters
    covariance_type: str | None
    steps: np.ndarray
    pairs: list[tuple[int, int]]
    classifier: Any

    def figures(
        self, x: np.ndarray, start: MixtureParameters, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Figures (M,) of rows x, and quantiles (K, Q) of their distances; EM starts where they come from."""
        repeated = np.array([n_repeated(column) for column in x.T], dtype=float)
        x = to_grain(x, self.steps)
        seen_by = self.reference if self.covariance_type is None else refitted(x, start, self.covariance_type)
        generated = to_grain(draw_rows(rng, seen_by, len(x))[0], self.steps)
        D = x.shape[1]
        r, squared = discrepancies.distances(x, seen_by)
        parts = [
            discrepancies.kolmogorov(x, seen_by),
            discrepancies.pair_chi_squared(x, seen_by, self.pairs),
            discrepancies.component_kolmogorov(r, squared, D),
            discrepancies.kurtosis(r, squared, D),
            discrepancies.n_kernel_modes(x, seen_by),
            self._told_apart(x, generated, seen_by, rng),
            repeated,
        ]
        return np.concatenate(parts), discrepancies.distance_quantiles(r, squared, QUANTILES)

    def _told_apart(
        self, x: np.ndarray, generated: np.ndarray, seen_by: MixtureParameters, rng: np.random.Generator
    ) -> np.ndarray:
        """Nearest-neighbour and classifier figures, features in units of the whole mixture."""
        centre = seen_by.weights @ seen_by.means
        away = seen_by.means - centre
        whole = np.einsum("k,kij->ij", seen_by.weights, seen_by.covariances + away[:, :, None] * away[:, None, :])
        L = np.linalg.cholesky(whole)
        real, made = (np.linalg.solve(L, (sample - centre).T).T for sample in (x, generated))
        accuracy = two_sample.classifier_accuracy(x, generated, self.classifier, rng)
        return np.array([two_sample.neighbour_share(real, made), accuracy])

    def checks(self, names: tuple[str, ...]) -> list[Check]:
        """Name the figures, in their order."""
        K = self.reference.n_components
        checks = [_upper("marginal", name, f"the marginal distribution of {name} is another") for name in names]
        for i, j in self.pairs:
            text = f"{names[i]} and {names[j]} go together in another way"
            checks.append(_upper("pair", f"{names[i]}, {names[j]}", text))
        for k in range(K):
            text = f"rows of component {k} are not spread about its centre as a normal's"
            checks.append(_upper("component", f"component {k}", text))
        for k in range(K):
            low, high = (f"component {k} has {tails} tails than a normal" for tails in ("lighter", "heavier"))
            checks.append(Check("tails", f"component {k}", True, low, high, skew=True))
        for name in names:
            low, high = (f"{name} has {number} modes than generated values" for number in ("fewer", "more"))
            checks.append(Check("modes", name, True, low, high, skew=False))
        for kind, who in (("neighbours", "nearest neighbours tell"), ("classifier", "a classifier tells")):
            checks.append(_upper(kind, "all features", f"{who} real rows from generated ones", skew=False))
        for name, step in zip(names, self.steps, strict=True):
            how = f"is recorded in steps of {step:g}" if step else "has repeated values"
            checks.append(_upper(ROUNDING, name, f"{name} {how}, generated values do not repeat", skew=False))
        return checks


def refitted(x: np.ndarray, start: MixtureParameters, covariance_type: str) -> MixtureParameters:
    """EM on rows x from a mixture; where it ends nowhere, the start itself."""
    gm = GaussianMixture(
        start.n_components,
        covariance_type=covariance_type,
        init_params=GaussianMixture.from_parameters(start.weights, start.means, start.covariances, noise=start.noise),
        max_iter=500,
        noise=None if start.noise is None else start.noise.background,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gm.fit(x).parameters_


def _upper(kind: str, of: str, text: str, *, skew: bool = True) -> Check:
    return Check(kind, of, False, text, text, skew)


def _rows(mixture: MixtureView, X: Any) -> Observations:
    rows = mixture.observe(X)
    if rows.weights is not None:
        raise ValueError(
            "rows with weights cannot be compared with generated ones: pass each row as often as it counts."
        )
    if rows.missing is not None:
        holes = rows.missing.any(axis=1)
        raise ValueError(
            f"generated rows are complete, and of the data {rows.name_rows(holes)} are not: pass the complete rows as "
            "`X`, or a table that `impute` completed."
        )
    if rows.errors is not None:
        raise ValueError(
            "the rows were measured with errors, and generated rows are the underlying values: compare with "
            "`generate(..., measurement_errors=True)`."
        )
    least = 10 * mixture.parameters.n_components
    if rows.n_rows < least:
        raise ValueError(f"{rows.n_rows} rows are too few to judge a mixture by: at least {least} are needed.")
    return rows


def _family(dt: "xr.DataTree | GaussianMixture") -> str:
    return dt.covariance_type if isinstance(dt, GaussianMixture) else str(meta(dt).get("covariance_type", "full"))


def _pairs(D: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    pairs = list(combinations(range(D), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[p] for p in np.sort(rng.choice(len(pairs), size=MOST_PAIRS, replace=False))]


def _distances(quantiles: np.ndarray, D: int) -> xr.Dataset:
    """Label quantiles (B + 1, K, Q) of squared distances, the data's first."""
    lower, upper = np.quantile(quantiles[1:], [0.025, 0.975], axis=0)
    parts = {"observed": quantiles[0], "lower": lower, "upper": upper}
    return xr.Dataset(
        {
            **{name: ((COMPONENT, PROBABILITY), part) for name, part in parts.items()},
            "chi_squared": (PROBABILITY, 2 * gammaincinv(D / 2, QUANTILES)),
        },
        coords={COMPONENT: np.arange(quantiles.shape[1]), PROBABILITY: QUANTILES},
    )
