"""The picture of a comparison: criteria against the number of components, a line for each covariance family."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import ci_line_y, line_xy, scatter_xy, set_xticks, set_ylim

from bayesgmm.em.families import Part, covariance_family
from bayesgmm.plots.asked import Asked
from bayesgmm.plots.panels import MARKERS
from bayesgmm.plots.picture import INK, Entry, Picture, open_picture
from bayesgmm.plots.rows import complete
from bayesgmm.selection.compare import CRITERIA, Comparison
from bayesgmm.selection.cross_validate import CrossValidation

if TYPE_CHECKING:
    # it loads PyMC, which a picture of EM fits does not need
    from bayesgmm.selection.compare_posteriors import PosteriorComparison

VISUALS = ("error", "line", "fit", "set_aside", "best", "xticks", "ylim", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {
    "error": ["color"],
    "line": ["color"],
    "fit": ["color", "marker"],
    "set_aside": ["color", "marker"],
    "best": ["color"],
}
PANEL, FAMILY, COUNT = "criterion", "covariance_type", "n_components"

SPHERE = "#CC79A7"

COLOUR = {Part.IDENTITY: "#E69F00", Part.EQUAL: "#0072B2", Part.VARIABLE: "#009E73"}
"""Colour of a family by its orientation: that of the columns, one for all components, each its own; spheres have none.
They are Okabe & Ito's, and far apart for the colour-blind."""

E, V = Part.EQUAL, Part.VARIABLE

MARKER = dict(zip(((E, E), (V, E), (E, V), (V, V)), MARKERS, strict=True))
"""Marker of a family by its volume and shape, equal (E) or variable (V): circle, triangle, square, diamond."""

BEYOND = 3.0
"""How many times as far above the smallest value as the median of the admissible models the axis may go."""

MOST_NAMED = 6
MOST_PANELS_ABREAST = 3

NAMES = {"loo": "LOO, expected log predictive density", "evidence": "log evidence", "cv": "held-out log density"}
"""Criteria that come with an error, and of which the greatest is best."""
STAR = {"bokeh": "star", "plotly": "star"}


def plot_compare(
    comparison: Comparison,
    *,
    criterion: str | Sequence[str] = "bic",
    posteriors: "PosteriorComparison | None" = None,
    cross_validation: CrossValidation | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot criteria against the number of components, by covariance family.

    A star marks the best: of BIC, AIC and ICL the smallest; of LOO, the log evidence and the held-out log density,
    which have bars of one standard error on each side, the greatest. The colour of a family is its orientation, the
    marker its volume and shape. Models set aside (not converged, or a component collapsed or with too few rows) are
    hollow, off the line; models that could not be fitted are missing.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned.
    criterion : {"bic", "aic", "icl", "all"} or sequence of the first three
        One panel for each.
    posteriors : PosteriorComparison, optional
        What `compare_posteriors` returned of some of these models: a panel of LOO and, where there is one, of the log
        evidence. Errors of LOO are those of the differences from the best, which are smaller than those of the values.
    cross_validation : CrossValidation, optional
        What `cross_validate` returned of some of these models: a panel, with errors of the differences.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call for the same families returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default. Markers appear in the legend with matplotlib only.
    labeller : Labeller, optional
        Writes the names of the families.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default all follow ``color``, and ``fit`` and ``set_aside`` ``marker`` too.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: error, line, fit, set_aside, best, xticks, ylim, xlabel, ylabel,
        title, legend. The axis ends where most models are in sight; ``{"ylim": False}`` shows all of them.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``criterion``.

    Raises
    ------
    ValueError
        For an unknown criterion, visual or panel, when no model could be fitted, or when `posteriors` or
        `cross_validation` hold a family that the comparison does not.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.plots.compare import plot_compare
    >>> comparison = bg.compare(bg.load_dataset("faithful"), [1, 2], covariance_type=["EII", "VVV"], n_init=1)
    >>> pc = plot_compare(comparison, backend="none")
    >>> sorted(pc.viz.children)
    ['best', 'fit', 'line', 'title', 'xlabel', 'ylabel']
    """
    criteria = list(CRITERIA) if criterion == "all" else [criterion] if isinstance(criterion, str) else list(criterion)
    if unknown := [name for name in criteria if name not in CRITERIA]:
        raise ValueError(f"`criterion` must be among {', '.join(CRITERIA)}; received {unknown[0]!r}.")
    if not criteria or len(set(criteria)) != len(criteria):
        raise ValueError(f"`criterion` must name at least one of {', '.join(CRITERIA)}, none twice.")
    table = comparison.table
    if not np.isfinite(table[criteria].to_numpy(dtype=np.float64)).any():
        raise ValueError("no model of this comparison could be fitted: `comparison.table` says why.")
    families = list(dict.fromkeys(table[FAMILY]))
    extra = _with_errors(posteriors, cross_validation, families)
    criteria += list(extra)
    styles = [_style(name) for name in families]
    if plot_collection is not None:
        known = list(plot_collection.data.coords[FAMILY].values) if FAMILY in plot_collection.data.coords else []
        if not set(families) <= set(known):
            raise ValueError(
                f"`plot_collection` has no families {[name for name in families if name not in known]} (it has "
                f"{known}): pass one that `plot_compare` returned for the same families."
            )
    picture = open_picture(
        PANEL,
        criteria,
        1,
        Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs),
        VISUALS,
        FOLLOWED,
        panel_size=(6.0, 4.4) if len(criteria) == 1 else (4.6, 4.2),
        n_columns=min(len(criteria), MOST_PANELS_ABREAST),
        more_aes={
            "color": (FAMILY, families, [color for color, _ in styles]),
            "marker": (FAMILY, families, [marker for _, marker in styles]),
        },
    )
    values, errors = _grid(table, criteria, families, extra)
    sign = picture.lay(criteria, [-1.0 if name in NAMES else 1.0 for name in criteria])
    admissible = values.where(_admissible(table, values) | (sign < 0))
    limits = {
        name: _limits(*(part.sel({PANEL: name}) for part in (admissible, values, errors, sign))) for name in criteria
    }
    smallest = sign * admissible == (sign * admissible).min([FAMILY, COUNT])
    _draw(picture, values, admissible, smallest, errors)
    counts = [int(k) for k in values[COUNT].values]
    ticks = counts[:: -(-len(counts) // 12)]
    picture.set_axis("xticks", set_xticks, criteria, values=ticks, labels=[str(k) for k in ticks])

    def end_axis(da: xr.DataArray, target: Any, **properties: Any) -> Any:
        return set_ylim(da, target, **{"limits": limits[str(da[PANEL].item())], **properties})

    picture.set_axis("ylim", end_axis, criteria)
    picture.write_all("xlabel", "number of components K", criteria)
    picture.write("ylabel", {name: _scale_name(name) for name in criteria})
    cut = picture.wanted("ylim")
    titles = {
        name: _title(smallest.sel({PANEL: name}), values.sel({PANEL: name}), limits[name] if cut else (-np.inf, np.inf))
        for name in criteria
    }
    picture.write("title", {name: picture.line_break.join(said) for name, said in titles.items()})
    aside = bool((values.notnull() & admissible.isnull()).any())
    picture.legend(_entries(picture, families, set_aside=aside, errors=bool(extra)))
    return picture.collection


def _style(name: str) -> tuple[str, str]:
    """Colour of a family by its orientation, and marker by its volume and shape."""
    family = covariance_family(name)
    if family.spherical:
        return SPHERE, MARKER[family.volume, family.volume]
    return COLOUR[family.orientation], MARKER[family.volume, family.shape]


def _with_errors(
    posteriors: "PosteriorComparison | None", cross_validation: CrossValidation | None, families: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Columns value and error by family and K, of each criterion that has errors."""
    tables: dict[str, pd.DataFrame] = {}

    def add(name: str, table: pd.DataFrame, value: str, error: str) -> None:
        columns = [FAMILY, COUNT, value, error]
        tables[name] = table[columns].set_axis([FAMILY, COUNT, "value", "error"], axis=1).dropna(subset="value")

    if posteriors is not None:
        add("loo", posteriors.table, "elpd_loo", "difference_error")
        if posteriors.table["log_evidence"].notna().any():
            add("evidence", posteriors.table, "log_evidence", "log_evidence_error")
    if cross_validation is not None:
        add("cv", cross_validation.table, "elpd", "difference_error")
    for table in tables.values():
        if strange := sorted(set(table[FAMILY]) - set(families)):
            raise ValueError(f"the comparison has no family {strange[0]!r}; it has {', '.join(families)}.")
    return tables


def _scale_name(criterion: str) -> str:
    if criterion in NAMES:
        return f"{NAMES[criterion]} (greater is better)"
    return f"{criterion.upper()} (smaller is better)"


def _grid(
    table: pd.DataFrame, criteria: Sequence[str], families: Sequence[str], extra: Mapping[str, pd.DataFrame]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Values and errors by criterion, family and K; NaN where there is none."""
    counts = sorted(set(table[COUNT]).union(*(part[COUNT] for part in extra.values())))
    order = pd.MultiIndex.from_product([families, counts], names=[FAMILY, COUNT])
    shape = (len(families), len(counts))

    def column(part: pd.DataFrame, name: str) -> np.ndarray:
        by_model = part.drop_duplicates([FAMILY, COUNT]).set_index([FAMILY, COUNT])[name].astype(np.float64)
        return by_model.reindex(order).to_numpy().reshape(shape)

    nothing = np.full(shape, np.nan)
    values = [column(extra[name], "value") if name in extra else column(table, name) for name in criteria]
    errors = [column(extra[name], "error") if name in extra else nothing for name in criteria]
    coords = {PANEL: list(criteria), FAMILY: list(families), COUNT: counts}
    dims = (PANEL, FAMILY, COUNT)
    return xr.DataArray(np.array(values), dims=dims, coords=coords), xr.DataArray(np.array(errors), coords, dims)


def _admissible(table: pd.DataFrame, like: xr.DataArray) -> xr.DataArray:
    """Whether each model is, by family and K."""
    by_model = table.drop_duplicates([FAMILY, COUNT]).set_index([FAMILY, COUNT])["admissible"].astype(bool)
    order = pd.MultiIndex.from_product([like[FAMILY].values, like[COUNT].values])
    grid = by_model.reindex(order, fill_value=False).to_numpy().reshape(like.sizes[FAMILY], like.sizes[COUNT])
    return xr.DataArray(grid, dims=(FAMILY, COUNT), coords={FAMILY: like[FAMILY], COUNT: like[COUNT]})


def _limits(
    admissible: xr.DataArray, values: xr.DataArray, errors: xr.DataArray, sign: xr.DataArray
) -> tuple[float, float]:
    """Find the ends of the axis: a few models far from the best must not press the others into one line.

    Where the greatest is best, `sign` is -1 and the axis is that of the values with the other sign, turned.
    """
    turned = float(sign)
    low, high = _limits_of_smallest(turned * admissible.values, turned * values.values)
    bar = errors.fillna(0.0).values
    near = (turned * values.values >= low) & (turned * values.values <= high)
    low = min(low, float((turned * values.values - bar)[near].min()))
    high = max(high, float((turned * values.values + bar)[near].max()))
    return (low, high) if turned > 0 else (-high, -low)


def _limits_of_smallest(admissible: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    every = values[np.isfinite(values)]
    sound = admissible[np.isfinite(admissible)]
    sound = sound if len(sound) else every
    low = float(sound.min())
    near = float(np.median(sound)) - low
    top = min(float(sound.max()), low + BEYOND * near) if near > 0 else float(sound.max())
    span = max(top - low, 1e-9 * max(abs(low), 1.0), 1e-12)
    # models set aside are shown where they are near; a likelihood without bound may put them anywhere below
    below = every[every >= low - 0.3 * span].min()
    return float(below) - 0.06 * span, top + 0.04 * span


def _draw(
    picture: Picture, values: xr.DataArray, admissible: xr.DataArray, smallest: xr.DataArray, errors: xr.DataArray
) -> None:
    """Error bars, lines, markers, hollow markers and the star, in this order."""

    def points(y: xr.DataArray) -> xr.DataArray:
        x = xr.broadcast(y[COUNT].astype(np.float64), y)[0].transpose(*y.dims)
        return xr.concat([x.where(y.notnull()), y], dim=pd.Index(["x", "y"], name="plot_axis"), coords="minimal")

    area = picture.marker_size(26)
    if errors.notnull().any():
        ends = xr.concat(
            [points(values).isel(plot_axis=0, drop=True), values - errors, values + errors],
            dim=pd.Index(["x", "y_bottom", "y_top"], name="plot_axis"),
            coords="minimal",
        )
        picture.draw("error", complete(ci_line_y, COUNT), ends.where(errors.notnull()), width=1.3, alpha=0.7)
    picture.draw("line", line_xy, points(admissible), width=1.3, alpha=0.85)
    no_edge = picture.only_matplotlib(linewidths=0)
    picture.draw("fit", complete(scatter_xy, COUNT), points(admissible), size=area, **no_edge)
    set_aside = values.where(admissible.isnull())
    if set_aside.notnull().any():
        picture.draw("set_aside", complete(_hollow, COUNT), points(set_aside), size=area)
    picture.draw(
        "best",
        complete(scatter_xy, COUNT),
        points(admissible.where(smallest)),
        size=picture.marker_size(190),
        edgecolor=INK,
        width=1.0,
        marker=STAR.get(picture.collection.backend, "*"),
        **picture.only_matplotlib(zorder=4),
    )


def _hollow(da: xr.DataArray, target: Any, *, color: Any = INK, **properties: Any) -> Any:
    return scatter_xy(da, target, **{"facecolor": "white", "edgecolor": color, "width": 1.0, **properties})


def _title(smallest: xr.DataArray, values: xr.DataArray, limits: tuple[float, float]) -> list[str]:
    """Say which model is the smallest, and what is not in sight."""
    where = np.argwhere(smallest.values)
    if not len(where):
        return ["no admissible model"]
    family, count = where[0]
    best = f"{_code(smallest[FAMILY].values[family])}, K = {smallest[COUNT].values[count]} is best"
    above = []
    for along, across in ((FAMILY, COUNT), (COUNT, FAMILY)):
        nearest = values.min(across)
        off = nearest[along].values[nearest.values > limits[1]]
        above += [_code(name) if along == FAMILY else f"K = {name}" for name in off]
    below = int((values < limits[0]).sum())
    more = f" and {len(above) - MOST_NAMED} more" if len(above) > MOST_NAMED else ""
    if smallest[PANEL].item() in NAMES:
        return [best, f"below the axis: {below} model{'s' if below > 1 else ''}"] if below else [best]
    hidden = [f"above the axis: {', '.join(above[:MOST_NAMED])}{more}"] if above else []
    hidden += [f"below it: {below} set aside" if above else f"below the axis: {below} set aside"] if below else []
    return [best, "; ".join(hidden)] if hidden else [best]


def _code(name: Any) -> str:
    return covariance_family(str(name)).code


def _entries(picture: Picture, families: Sequence[str], *, set_aside: bool, errors: bool) -> list[Entry]:
    """Legend: the families in mclust's codes, with scikit-learn's names; then what hollow and star mean."""
    entries = []
    for name in families:
        style = picture.collection.get_aes_kwargs(
            [aes for aes in ("color", "marker") if aes in picture.collection.aes_set], FAMILY, {FAMILY: name}
        )
        marker = style.pop("marker", None)
        if marker is not None:
            style |= picture.only_matplotlib(marker=marker, markersize=5, markeredgewidth=0)
        label = picture.labeller.sel_to_str({FAMILY: name}, {FAMILY: name})
        entries.append((label if _code(name) == name else f"{_code(name)} ({label})", {**style, "width": 1.3}))
    if set_aside:
        hollow = {"markerfacecolor": "white", "markeredgewidth": 1}
        label, mark = picture.mark_entry("set aside", area=26)
        entries.append((label, mark | picture.only_matplotlib(**hollow)))
    if picture.collection.backend == "matplotlib":
        entries.append(picture.mark_entry("best" if errors else "smallest", marker="*", area=110))
    return entries
