"""What every picture stands on: panels, one colour per component, axis labels, and a legend outside the data.

May import arviz_plots and the modules below ``plots/``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_base import rcParams
from arviz_base.labels import BaseLabeller
from arviz_plots import PlotCollection
from arviz_plots.visuals import scatter_x, scatter_xy

from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.posterior.datatree import COMPONENT, FEATURE, OBS

COMPONENT_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colours of components 0, 1, ... in every picture: Okabe & Ito (2008), "Color Universal Design", without black, which
is kept for what belongs to no component. From the eighth component on they repeat, with another marker."""

MARKERS = ("C0", "C2", "C5", "C4")
"""Aliases of arviz-plots for circle, triangle, square and diamond, one for each round of colours."""

INK, MUTED, PALE = "#000000", "#595959", "#BDBDBD"
DASHES = {"bokeh": "dashed", "plotly": "dash"}
CROSSES = {"plotly": "x-thin-open"}


class ComponentLabeller(BaseLabeller):
    """ArviZ labeller that writes "component 0"; everything else is written as it is named."""

    def dim_coord_to_str(self, dim: Any, coord_val: Any, coord_idx: Any) -> str:
        """Text of one coordinate."""
        return f"{dim} {coord_val}" if dim == COMPONENT else str(coord_val)


@dataclass(frozen=True, slots=True)
class Picture:
    """A PlotCollection with what the caller asked of its visuals.

    Attributes
    ----------
    collection : PlotCollection
        Its panels lie along one dimension; the colour of a component is an aesthetic of it.
    visuals, aes_by_visuals : dict
        As in arviz-plots: properties of each visual, or False to leave it out; aesthetics each visual follows.
    labeller : Labeller
    fresh : bool
        Whether the collection was made here: title and legend are written once, by the call that makes it.
    """

    collection: PlotCollection
    visuals: dict[str, Any]
    aes_by_visuals: dict[str, Any]
    labeller: Any
    fresh: bool

    @property
    def backend(self) -> ModuleType:
        """The arviz-plots backend module."""
        return backend_module(self.collection.backend)

    @property
    def dashes(self) -> str:
        """How the backend spells a dashed line."""
        return DASHES.get(self.collection.backend, "--")

    def only_matplotlib(self, **properties: Any) -> dict[str, Any]:
        """Properties that other backends do not know: kept for matplotlib, dropped elsewhere."""
        return properties if self.collection.backend == "matplotlib" else {}

    def marker_size(self, area: float) -> float:
        """Size of a marker from its area in square points."""
        return _marker_size(self.collection.backend, area)

    def wanted(self, name: str) -> bool:
        """Whether a visual is to be drawn."""
        return self.visuals.get(name, True) is not False

    def draw(self, name: str, function: Callable[..., Any], data: xr.DataArray, **defaults: Any) -> None:
        """Map a visual over the panels of its data, and over the aesthetics it follows.

        Parameters
        ----------
        name : str
            Key in `visuals` and `aes_by_visuals`; also where the artists are kept in ``collection.viz``.
        function : callable
            ``function(da, target, **properties)`` of `arviz_plots.visuals`, or alike.
        data : DataArray
            A panel or a component where everything is NaN is left out.
        **defaults
            Properties, overridden by those in `visuals`.
        """
        if not self.wanted(name):
            return
        asked = self.visuals.get(name, {})
        properties = {**defaults, **(asked if isinstance(asked, Mapping) else {})}
        # components (and classes of certainty) are drawn one by one whether or not a property follows them
        followed = {*self.aes_by_visuals.get(name, ()), *(f"overlay_{dim}" for dim in data.dims)}
        panels = self.collection.viz["plot"]
        # viz aligns its groups: a visual of some panels is NaN in the others, and `map` passes over those
        missing = {dim: panels[dim] for dim in panels.dims if dim in data.dims and data.sizes[dim] < panels.sizes[dim]}
        self.collection.map(
            function,
            name,
            data=data.reindex(missing).rename(name).to_dataset(),
            ignore_aes=self.collection.aes_set.difference(followed),
            **properties,
        )

    def write(self, name: str, function_name: str, texts: Mapping[Any, str], **defaults: Any) -> None:
        """Write a text into each panel: `function_name` is "xlabel", "ylabel" or "title"; `texts` is by panel."""
        if not self.fresh:
            return
        (panel,) = self.collection.viz["plot"].dims
        data = xr.DataArray(np.array(list(texts.values()), dtype=object), dims=panel, coords={panel: list(texts)})

        def put(da: xr.DataArray, target: Any, **properties: Any) -> Any:
            return getattr(self.backend, function_name)(da.item(), target, **properties)

        self.draw(name, put, data, **defaults)

    def head(self, text: str) -> None:
        """Write the title of the figure."""
        if self.fresh and self.wanted("title"):
            asked = self.visuals.get("title", {})
            properties = {"text": text, **(asked if isinstance(asked, Mapping) else {})}
            self.collection.add_title(**properties)

    def legend(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Put a legend outside of the panels: a label and the line properties of each entry."""
        if not (self.fresh and self.wanted("legend")):
            return
        asked = self.visuals.get("legend", {})
        lines = [dict(line) for _, line in entries]
        if self.collection.backend == "plotly":
            lines = [{"opacity" if key == "alpha" else key: v for key, v in line.items()} for line in lines]
        if self.collection.backend == "none":
            return
        self.collection.viz[f"legend/{COMPONENT}"] = xr.DataArray(
            self.backend.legend(
                self.collection,
                lines,
                [label for label, _ in entries],
                legend_dim=(COMPONENT,),
                update_visuals=False,
                **{**self.only_matplotlib(frameon=False), **(asked if isinstance(asked, Mapping) else {})},
            )
        )

    def component_entries(self, n_components: int, **line: Any) -> list[tuple[str, dict[str, Any]]]:
        """Legend entries of the components, in the colours of this picture."""
        entries = []
        known = [name for name in ("color", "marker") if name in self.collection.aes_set]
        for k in range(n_components):
            style = self.collection.get_aes_kwargs(known, COMPONENT, {COMPONENT: k})
            marker = style.pop("marker", MARKERS[0])
            if marker != MARKERS[0]:
                style |= self.only_matplotlib(marker=marker)
            entries.append((self.labeller.sel_to_str({COMPONENT: k}, {COMPONENT: k}), {**style, **line}))
        return entries

    def mark_entry(self, label: str, marker: str = "o", area: float = 20.0) -> tuple[str, dict[str, Any]]:
        """Legend entry of a dot ("o"), a stroke ("|") or a cross ("x"); other backends' legends know lines only."""
        mark = {"linestyle": "none", "marker": marker, "markersize": np.sqrt(area)}
        edge = {"markeredgewidth": 0 if marker == "o" else 1}
        return label, {"color": MUTED, **self.only_matplotlib(**mark, **edge)}

    def draw_noise(
        self,
        points: xr.DataArray,
        label: np.ndarray | xr.DataArray,
        *,
        name: str = "noise",
        function: Callable[..., Any] = scatter_xy,
        **properties: Any,
    ) -> None:
        """Draw the rows of noise in grey, and as crosses where they are marks; nothing where no row is noise.

        Parameters
        ----------
        points : DataArray
            Its dimension obs_id holds the rows.
        label : (obs_id,) or (panel, obs_id) int
        name, function, **properties
            As in `draw`.
        """
        label = label if isinstance(label, xr.DataArray) else xr.DataArray(label, dims=OBS)
        noise = label == NOISE_LABEL
        if not noise.any():
            return
        if function in (scatter_x, scatter_xy):
            crosses = {"marker": CROSSES.get(self.collection.backend, "x"), **self.only_matplotlib(linewidths=0.8)}
            properties = {**crosses, **properties}
        self.draw(name, complete(function), points.where(noise), **{"color": MUTED, **properties})

    def noise_entries(self, label: np.ndarray) -> list[tuple[str, dict[str, Any]]]:
        """Legend entry of the rows of noise; none where no row is."""
        there = (np.asarray(label) == NOISE_LABEL).any() and self.wanted("noise")
        return [self.mark_entry("noise", marker="x", area=25)] if there else []

    def feature_label(self, name: str, unit: str) -> str:
        """Axis label of a feature, with its unit where it has one."""
        text = self.labeller.sel_to_str({FEATURE: name}, {FEATURE: 0})
        return f"{text} [{unit}]" if unit else text


def open_picture(
    panel: str,
    panels: Sequence[str],
    n_components: int,
    *,
    visual_names: Sequence[str],
    panel_size: tuple[float, float],
    n_columns: int,
    plot_collection: PlotCollection | None,
    backend: str | None,
    labeller: Any,
    aes_by_visuals: Mapping[str, Sequence[str]] | None,
    visuals: Mapping[str, Any] | None,
    pc_kwargs: Mapping[str, Any],
    more_aes: Mapping[str, tuple[str, Sequence[Any], Sequence[Any]]] | None = None,
) -> Picture:
    """Make the panels of a picture, or take those given.

    Parameters
    ----------
    panel, panels : str, sequence of str
        The dimension along which panels lie, and its coordinates.
    panel_size : (float, float)
        Width and height of a panel in inches.
    more_aes : mapping, optional
        Aesthetics beside colour and marker: {aesthetic: (dimension, coordinates, values)}.

    Raises
    ------
    ValueError
        For a visual that this picture does not have, or a `plot_collection` without these panels or components.
    """
    visuals = known_keys("visuals", visuals, visual_names)
    aes_by_visuals = known_keys("aes_by_visuals", aes_by_visuals, visual_names)
    labeller = ComponentLabeller() if labeller is None else labeller
    if plot_collection is not None:
        plots = plot_collection.viz["plot"] if "plot" in plot_collection.viz else xr.DataArray()
        present = list(plots.coords[panel].values) if panel in plots.coords else []
        if not set(panels) <= set(present):
            raise ValueError(
                f"`plot_collection` has no panels {[p for p in panels if p not in present]} along {panel!r} "
                f"(it has {present}): pass one that the same kind of picture returned."
            )
        known = plot_collection.data.sizes.get(COMPONENT, 0)
        if known < n_components:
            raise ValueError(f"`plot_collection` has colours for {known} components, and this mixture {n_components}.")
        return Picture(plot_collection, visuals, aes_by_visuals, labeller, fresh=False)

    backend = rcParams["plot.backend"] if backend is None else backend
    backend_module(backend)
    n_columns = min(n_columns, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = dict(pc_kwargs.get("figure_kwargs", {}))
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
    for name, (dim, labels, chosen) in (more_aes or {}).items():
        coords[dim] = list(labels)
        aes[name] = [dim]
        values[name] = [_marker_size(backend, area) for area in chosen] if name == "size" else list(chosen)
        aes[f"overlay_{dim}"] = [dim]
    aes = {**aes, **pc_kwargs.get("aes", {})}
    rest = {k: v for k, v in pc_kwargs.items() if k not in ("aes", "figure_kwargs")}
    values = {name: value for name, value in values.items() if aes[name] is not False}
    shape = tuple(len(c) for c in coords.values())
    collection = PlotCollection.wrap(
        xr.Dataset({"panels": (tuple(coords), np.zeros(shape))}, coords=coords),
        cols=[panel],
        backend=backend,
        aes=aes,
        figure_kwargs=figure,
        **{"col_wrap": n_columns, **values, **rest},
    )
    return Picture(collection, visuals, aes_by_visuals, labeller, fresh=True)


def known_keys(name: str, given: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Any]:
    """Copy a mapping that a caller gave, empty for None.

    Raises
    ------
    ValueError
        When it has a key that is none of `keys`.
    """
    given = dict(given or {})
    if unknown := [key for key in given if key not in keys]:
        raise ValueError(f"`{name}` has the keys {unknown}; expected some of {list(keys)}.")
    return given


def complete(visual: Callable[..., Any]) -> Callable[..., Any]:
    """Leave out the rows that are NaN, those of other components, before drawing."""

    def draw(da: xr.DataArray, target: Any, **properties: Any) -> Any:
        return visual(da.dropna(OBS), target, **properties)

    return draw


def _marker_size(backend: str, area: float) -> float:
    """Bokeh alone wants the diameter."""
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
