"""The values that are missing or blurred by errors, filled in: expectations, intervals and draws."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.posterior.datatree import (
    CELL,
    CHAIN,
    DRAW,
    FEATURE,
    OBS,
    UNIT,
    MixtureView,
    netcdf_labels,
    unit_text,
    view,
)
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.hidden_values import DrawnValues, draw_hidden, hidden_cells
from bayesgmm.tools.integers import check_integer


def impute(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    n_draws: int = 1000,
    ci_prob: float | None = None,
    random_seed: int | None = None,
) -> xr.DataTree:
    """Draw the values that are missing, given those that are there.

    Where rows were fitted with measurement errors, the underlying values of what was measured are drawn too.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit, whose parameters are then taken as known: intervals are too short by
        what is unknown about them.
    X : table, optional
        (N, D) rows with NaN where a value is missing; by default the rows of the posterior, with what is known of them.
    n_draws : int
        Tables drawn; each has a posterior draw of its own as long as there are enough.
    ci_prob : float, optional
        Probability of the intervals; ArviZ's setting by default.
    random_seed : int, optional

    Returns
    -------
    DataTree
        Group ``imputed``: ``x`` (obs_id, feature), the values seen and in the other cells their expectation;
        ``x_lower``, ``x_upper``, the ends of the interval (the value itself where it was seen exactly), ``x_sd``, and
        ``hidden``, 1 for each cell that was not seen exactly. Group ``posterior_predictive``: ``x_hidden``
        (chain, draw, cell), the draws, with the row and the feature of each cell in ``row`` (position), ``cell_obs_id``
        and ``cell_feature``. `completed_table` makes a DataFrame of either.

    Raises
    ------
    DataError
        When rows cannot be used; a row without any value is named.
    ValueError
        When there is nothing to impute, no rows, or `n_draws` is not a positive integer.

    Notes
    -----
    Right where values are missing at random: whether one is missing may depend on what is seen of the row, not on the
    value itself. Memory is 8 bytes for each draw and cell. The draws do not depend on the number of threads.

    References
    ----------
    Little & Rubin (2019), Statistical Analysis with Missing Data, 3rd edition, sections 10.2 and 11.2.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> imputed = bg.impute(gm, [[4.0, float("nan")], [2.0, float("nan")]], random_seed=0)
    >>> imputed["imputed/x"].values.round(1).tolist()
    [[4.0, 78.4], [2.0, 54.2]]
    """
    n_draws = check_integer("n_draws", n_draws)
    prob = check_ci_prob(ci_prob)
    mixture = view(dt)
    rows = mixture.observe(X)
    hidden = hidden_cells(rows)
    if not hidden.any():
        raise ValueError("nothing to impute: no value of the rows is missing, and none was measured with an error.")
    rng = np.random.default_rng(random_seed)
    S, n = mixture.parameters.batch_shape[0], n_draws
    chosen = np.sort(rng.choice(S, size=n, replace=n > S))
    drawn = draw_hidden(rows, hidden, mixture.parameters[chosen], int(rng.integers(2**63)))
    return _tree(rows, hidden, mixture, drawn, prob)


def _tree(rows: Observations, hidden: np.ndarray, mixture: MixtureView, drawn: DrawnValues, prob: float) -> xr.DataTree:
    names, labels = list(mixture.feature_names), netcdf_labels(rows.row_labels)
    row, feature = np.nonzero(hidden)
    values = rows.values.astype(np.float64)
    lower, upper = interval(drawn.values, prob)
    columns = {"x": values.copy(), "x_lower": values.copy(), "x_upper": values, "x_sd": np.zeros(values.shape)}
    for column, filled in zip(columns.values(), (drawn.mean, lower, upper, drawn.sd), strict=True):
        column[hidden] = filled
    unit = {"units": unit_text(mixture.units)}
    imputed = xr.Dataset(
        {name: ((OBS, FEATURE), column, unit) for name, column in columns.items()}
        | {"hidden": ((OBS, FEATURE), hidden.astype(np.int8))},
        coords={OBS: labels, FEATURE: names, UNIT: (FEATURE, list(mixture.units))},
        attrs={"ci_prob": prob},
    )
    draws = xr.Dataset(
        {
            "x_hidden": ((CHAIN, DRAW, CELL), drawn.values[None], unit),
            "row": (CELL, row),
            "cell_obs_id": (CELL, labels[row]),
            "cell_feature": (CELL, np.asarray(names)[feature]),
        },
        coords={CHAIN: [0], DRAW: np.arange(len(drawn.values)), CELL: np.arange(len(row))},
    )
    return xr.DataTree.from_dict({"imputed": imputed, "posterior_predictive": draws})
