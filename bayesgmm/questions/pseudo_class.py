"""Pseudo-class draws: a tidy table of clusterings, to carry the error of clustering into a later analysis."""

from typing import Any

import pandas as pd
import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.allocations import draw_allocations
from bayesgmm.posterior.datatree import view
from bayesgmm.tools.integers import check_integer


def pseudo_class(
    dt: "xr.DataTree | GaussianMixture", X: Any = None, n_draws: int = 20, random_seed: int | None = None
) -> pd.DataFrame:
    """Draw the component of every row, several times over, as a tidy table.

    Each draw takes one posterior draw of the parameters and gives each row a component by its memberships r_nk in it:
    a draw from P(z | data). A regression on the most probable components takes them for known, and its standard errors
    are too small. Instead run it once for each draw, with estimate q_m and squared standard error u_m, and combine the
    M results by Rubin's (1987) rules: the estimate is the mean of the q_m; its variance is the mean of the u_m plus
    (1 + 1/M) times the variance of the q_m, with (M - 1) (1 + mean(u) / ((1 + 1/M) var(q)))^2 degrees of freedom.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then the error of its parameters is not carried on). Labels must mean
        the same in every draw: `align_labels` says whether they do.
    X : table, optional
        Rows to draw for; the fitted rows by default.
    n_draws : int
        M; 20 are usual (Wang, Brown & Bandeen-Roche 2005).
    random_seed : int, optional

    Returns
    -------
    DataFrame
        M N rows in three columns: ``draw`` (0 ... M - 1), ``row`` (label of the row) and ``label`` (component; -1 for
        noise).

    Raises
    ------
    ValueError
        When `n_draws` is not a positive whole number.

    Notes
    -----
    The later analysis must not contain an outcome that the clustering has not seen and that differs between clusters
    beyond what the clustering variables explain: draws made without it pull the estimated differences towards zero
    (Bolck, Croon & Hagenaars 2004). Include the outcome among the features, or read the result as a lower bound.

    References
    ----------
    Wang, Brown & Bandeen-Roche (2005), JASA 100, 1054-1076; Rubin (1987), Multiple Imputation for Nonresponse in
    Surveys; Bolck, Croon & Hagenaars (2004), Political Analysis 12, 3-27.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> bg.pseudo_class(gm, X, n_draws=2, random_seed=0).groupby("draw").size().tolist()
    [272, 272]
    """
    n_draws = check_integer("n_draws", n_draws)
    mixture = view(dt)
    observations = mixture.observe(X)
    z = draw_allocations(observations, mixture.parameters, n_draws, random_seed)
    M, N = z.shape
    return pd.DataFrame(
        {
            "draw": pd.RangeIndex(M).repeat(N),
            "row": _tile(observations.row_labels, M),
            "label": z.ravel().astype("int64"),
        }
    )


def _tile(labels: pd.Index, times: int) -> pd.Index:
    return labels.append([labels] * (times - 1)) if times > 1 else labels
