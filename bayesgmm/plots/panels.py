"""The panels of a picture: made by arviz-plots as the caller asks, or those that an earlier call returned.

May import arviz_plots and the modules below ``plots/``.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_base import rcParams
from arviz_base.labels import BaseLabeller
from arviz_plots import PlotCollection

from bayesgmm.plots.asked import Asked
from bayesgmm.posterior.datatree import COMPONENT

COMPONENT_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colours of components 0, 1, ... in every picture: Okabe & Ito (2008), "Color Universal Design", without black, which
is kept for what belongs to no component. From the eighth component on they repeat, with another marker."""

MARKERS = ("C0", "C2", "C5", "C4")
"""Aliases of arviz-plots for circle, triangle, square and diamond, one for each round of colours."""


class ComponentLabeller(BaseLabeller):
    """ArviZ labeller that writes "component 0"; everything else is written as it is named."""

    def dim_coord_to_str(self, dim: Any, coord_val: Any, coord_idx: Any) -> str:
        """Text of one coordinate."""
        return f"{dim} {coord_val}" if dim == COMPONENT else str(coord_val)


def make_panels(
    panel: str,
    panels: Sequence[str],
    n_components: int,
    asked: Asked,
    panel_size: tuple[float, float],
    n_columns: int,
    more_aes: Mapping[str, tuple[str, Sequence[Any], Sequence[Any]]],
) -> PlotCollection:
    """Make panels, with colours and markers of components; parameters are those of `open_picture`."""
    backend = rcParams["plot.backend"] if asked.backend is None else asked.backend
    backend_module(backend)
    n_columns = min(n_columns, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = dict(asked.pc_kwargs.get("figure_kwargs", {}))
    if "figsize" not in figure:
        inches = (panel_size[0] * n_columns + 1.6, panel_size[1] * n_rows + 0.3)
        dots = backend != "matplotlib"
        figure["figsize"] = tuple(100 * side for side in inches) if dots else inches
        figure["figsize_units"] = "dots" if dots else "inches"
    if backend == "matplotlib":
        figure.setdefault("layout", "constrained")
    coords: dict[str, Any] = {panel: list(panels), COMPONENT: np.arange(n_components)}
    rounds = np.arange(n_components) // len(COMPONENT_COLORS) % len(MARKERS)
    aes: dict[str, Any] = {"color": [COMPONENT], "marker": [COMPONENT], f"overlay_{COMPONENT}": [COMPONENT]}
    values: dict[str, Any] = {"color": list(COMPONENT_COLORS), "marker": [MARKERS[r] for r in rounds]}
    for name, (dim, labels, chosen) in more_aes.items():
        coords[dim] = list(labels)
        aes[name] = [dim]
        values[name] = [marker_size(backend, area) for area in chosen] if name == "size" else list(chosen)
        aes[f"overlay_{dim}"] = [dim]
    aes = {**aes, **asked.pc_kwargs.get("aes", {})}
    rest = {k: v for k, v in asked.pc_kwargs.items() if k not in ("aes", "figure_kwargs")}
    values = {name: value for name, value in values.items() if aes[name] is not False}
    shape = tuple(len(c) for c in coords.values())
    return PlotCollection.wrap(
        xr.Dataset({"panels": (tuple(coords), np.zeros(shape))}, coords=coords),
        cols=[panel],
        backend=backend,
        aes=aes,
        figure_kwargs=figure,
        **{"col_wrap": n_columns, **values, **rest},
    )


def check_panels(panel: str, panels: Sequence[str], n_components: int, collection: PlotCollection) -> None:
    """Refuse to draw into a collection without these panels, or without colours for so many components.

    Raises
    ------
    ValueError
        Saying what it has.
    """
    plots = collection.viz["plot"] if "plot" in collection.viz else xr.DataArray()
    present = list(plots.coords[panel].values) if panel in plots.coords else []
    if not set(panels) <= set(present):
        raise ValueError(
            f"`plot_collection` has no panels {[p for p in panels if p not in present]} along {panel!r} "
            f"(it has {present}): pass one that the same kind of picture returned."
        )
    known = collection.data.sizes.get(COMPONENT, 0)
    if known < n_components:
        raise ValueError(f"`plot_collection` has colours for {known} components, and this mixture {n_components}.")


def marker_size(backend: str, area: float) -> float:
    """Size of a marker of an area in square points: Bokeh alone wants the diameter."""
    return float(np.sqrt(area)) if backend == "bokeh" else area


def backend_module(name: str) -> ModuleType:
    """Load the module of an arviz-plots backend.

    Raises
    ------
    ValueError
        When arviz-plots has none of that name, or its library is not installed.
    """
    try:
        return import_module(f"arviz_plots.backend.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`backend` is {name!r}; use 'matplotlib', 'bokeh' or 'plotly', with its library installed ({error})."
        ) from None
