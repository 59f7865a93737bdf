"""The picture of a comparison: a criterion against the number of components, a line for each covariance family."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import line_xy, scatter_xy, set_xticks, set_ylim

from bayesgmm.compare import CRITERIA, Comparison
from bayesgmm.covariance import covariance_family
from bayesgmm.plots.picture import INK, MARKERS, Picture, open_picture

VISUALS = ("line", "fit", "set_aside", "best", "xticks", "ylim", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {"line": ["color"], "fit": ["color", "marker"], "set_aside": ["color", "marker"], "best": ["color"]}
PANEL, FAMILY, COUNT = "criterion", "covariance_type", "n_components"

SPHERE, ALONG_AXES, COMMON, OWN = "#CC79A7", "#E69F00", "#0072B2", "#009E73"
"""Colour of a family by its orientation: none, that of the columns, one for all components, each its own. They are
Okabe & Ito's, and far apart for the colour-blind."""

MARKER = dict(zip(("EE", "VE", "EV", "VV"), MARKERS, strict=True))
"""Marker of a family by its volume and shape, equal (E) or variable (V): circle, triangle, square, diamond."""

BEYOND = 3.0
"""How many times as far above the smallest value as the median of the admissible models the axis may go."""

MOST_NAMED = 6
STAR = {"bokeh": "star", "plotly": "star"}


def plot_compare(
    comparison: Comparison,
    *,
    criterion: str | Sequence[str] = "bic",
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot a criterion against the number of components, by covariance family.

    Smaller is better, and a star marks the smallest. The colour of a family is its orientation, the marker its volume
    and shape. Models set aside (not converged, or a component collapsed or with too few rows) are hollow, off the line;
    models that could not be fitted are missing.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned.
    criterion : {"bic", "aic", "icl"} or sequence of them
        One panel for each.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call for the same families returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default. Markers appear in the legend with matplotlib only.
    labeller : Labeller, optional
        Writes the names of the families.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default all follow ``color``, and ``fit`` and ``set_aside`` ``marker`` too.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: line, fit, set_aside, best, xticks, ylim, xlabel, ylabel, title,
        legend. The axis ends where most models are in sight; ``{"ylim": False}`` shows all of them.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``criterion``.

    Raises
    ------
    ValueError
        For an unknown criterion, visual or panel, or when no model could be fitted.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.plots import plot_compare
    >>> found = bg.compare(bg.load_dataset("faithful"), [1, 2], covariance_type=["EII", "VVV"], n_init=1)
    >>> pc = plot_compare(found, backend="none")
    >>> sorted(pc.viz.children)
    ['best', 'fit', 'line', 'title', 'xlabel', 'ylabel']
    """
    criteria = [criterion] if isinstance(criterion, str) else list(criterion)
    if unknown := [name for name in criteria if name not in CRITERIA]:
        raise ValueError(f"`criterion` must be among {', '.join(CRITERIA)}; received {unknown[0]!r}.")
    if not criteria or len(set(criteria)) != len(criteria):
        raise ValueError(f"`criterion` must name at least one of {', '.join(CRITERIA)}, none twice.")
    table = comparison.table
    if not np.isfinite(table[criteria].to_numpy(dtype=np.float64)).any():
        raise ValueError("no model of this comparison could be fitted: `comparison.table` says why.")
    families = list(dict.fromkeys(table[FAMILY]))
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
        visual_names=VISUALS,
        panel_size=(6.0, 4.4) if len(criteria) == 1 else (4.6, 4.2),
        n_columns=len(criteria),
        plot_collection=plot_collection,
        backend=backend,
        labeller=labeller,
        aes_by_visuals={**FOLLOWED, **(aes_by_visuals or {})},
        visuals=visuals,
        pc_kwargs=pc_kwargs,
        more_aes={
            "color": (FAMILY, families, [color for color, _ in styles]),
            "marker": (FAMILY, families, [marker for _, marker in styles]),
        },
    )
    values = _values(table, criteria, families)
    admissible = values.where(_values(table, ["admissible"], families).isel({PANEL: 0}, drop=True) == 1)
    limits = {name: _limits(admissible.sel({PANEL: name}), values.sel({PANEL: name})) for name in criteria}
    smallest = admissible == admissible.min([FAMILY, COUNT])
    _draw(picture, values, admissible, smallest)
    counts = [int(k) for k in values[COUNT].values]
    panels = xr.DataArray(np.zeros(len(criteria)), dims=PANEL, coords={PANEL: criteria})
    step = -(-len(counts) // 12)
    picture.draw(
        "xticks", set_xticks, panels, values=counts[::step], labels=[str(k) for k in counts[::step]], store_artist=False
    )

    def end_axis(da: xr.DataArray, target: Any, **properties: Any) -> Any:
        return set_ylim(da, target, **{"limits": limits[str(da[PANEL].item())], **properties})

    picture.draw("ylim", end_axis, panels, store_artist=False)
    picture.write("xlabel", "xlabel", dict.fromkeys(criteria, "number of components K"))
    picture.write("ylabel", "ylabel", {name: f"{name.upper()} (smaller is better)" for name in criteria})
    cut = picture.wanted("ylim")
    titles = {
        name: _title(smallest.sel({PANEL: name}), values.sel({PANEL: name}), limits[name] if cut else (-np.inf, np.inf))
        for name in criteria
    }
    # plotly alone writes another line break
    between = "; " if picture.collection.backend == "plotly" else "\n"
    picture.write("title", "title", {name: between.join(said) for name, said in titles.items()})
    picture.legend(_entries(picture, families, set_aside=bool((values.notnull() & admissible.isnull()).any())))
    return picture.collection


def _style(name: str) -> tuple[str, str]:
    """Colour and marker of a family, by mclust's code: volume, shape, orientation."""
    code = covariance_family(name).code
    if len(code) == 1:
        return {"E": COMMON, "V": OWN}[code], MARKER[code * 2]
    volume, shape, orientation = tuple(code)
    if shape == "I":
        return SPHERE, MARKER[volume * 2]
    return {"I": ALONG_AXES, "E": COMMON, "V": OWN}[orientation], MARKER[volume + shape]


def _values(table: pd.DataFrame, columns: Sequence[str], families: Sequence[str]) -> xr.DataArray:
    """Columns of the table by criterion, family and K; NaN where there is none."""
    counts = sorted(set(table[COUNT]))
    by_model = table.drop_duplicates([FAMILY, COUNT]).set_index([FAMILY, COUNT])[list(columns)].astype(np.float64)
    order = pd.MultiIndex.from_product([families, counts], names=[FAMILY, COUNT])
    grid = by_model.reindex(order).to_numpy().T.reshape(len(columns), len(families), len(counts))
    return xr.DataArray(
        grid, dims=(PANEL, FAMILY, COUNT), coords={PANEL: list(columns), FAMILY: list(families), COUNT: counts}
    )


def _limits(admissible: xr.DataArray, values: xr.DataArray) -> tuple[float, float]:
    """Find the ends of the axis: a few models far above all others must not press these into one line."""
    every = values.values[np.isfinite(values.values)]
    sound = admissible.values[np.isfinite(admissible.values)]
    sound = sound if len(sound) else every
    low = float(sound.min())
    near = float(np.median(sound)) - low
    top = min(float(sound.max()), low + BEYOND * near) if near > 0 else float(sound.max())
    span = max(top - low, 1e-9 * max(abs(low), 1.0), 1e-12)
    # models set aside are shown where they are near; a likelihood without bound may put them anywhere below
    below = every[every >= low - 0.3 * span].min()
    return float(below) - 0.06 * span, top + 0.04 * span


def _draw(picture: Picture, values: xr.DataArray, admissible: xr.DataArray, smallest: xr.DataArray) -> None:
    """Lines, markers, hollow markers and the star, in this order."""

    def points(y: xr.DataArray) -> xr.DataArray:
        x = xr.broadcast(y[COUNT].astype(np.float64), y)[0].transpose(*y.dims)
        return xr.concat([x.where(y.notnull()), y], dim=pd.Index(["x", "y"], name="plot_axis"), coords="minimal")

    area = picture.marker_size(26)
    picture.draw("line", line_xy, points(admissible), width=1.3, alpha=0.85)
    picture.draw("fit", _known(scatter_xy), points(admissible), size=area, **picture.only_matplotlib(linewidths=0))
    set_aside = values.where(admissible.isnull())
    if set_aside.notnull().any():
        picture.draw("set_aside", _known(_hollow), points(set_aside), size=area)
    picture.draw(
        "best",
        _known(scatter_xy),
        points(admissible.where(smallest)),
        size=picture.marker_size(190),
        edgecolor=INK,
        width=1.0,
        marker=STAR.get(picture.collection.backend, "*"),
        **picture.only_matplotlib(zorder=4),
    )


def _known(visual: Any) -> Any:
    """Leave out the models that are NaN, and families without any other, before drawing."""

    def draw(da: xr.DataArray, target: Any, **properties: Any) -> Any:
        return visual(da.dropna(COUNT), target, **properties)

    return draw


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
    hidden = [f"above the axis: {', '.join(above[:MOST_NAMED])}{more}"] if above else []
    hidden += [f"below it: {below} set aside" if above else f"below the axis: {below} set aside"] if below else []
    return [best, "; ".join(hidden)] if hidden else [best]


def _code(name: Any) -> str:
    return covariance_family(str(name)).code


def _entries(picture: Picture, families: Sequence[str], *, set_aside: bool) -> list[tuple[str, dict[str, Any]]]:
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
        entries.append(picture.mark_entry("smallest", marker="*", area=110))
    return entries
