"""What every picture draws with: visuals mapped over its panels, axis labels, and a legend outside the data.

May import arviz_plots and the modules below ``plots/``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection

from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.plots.asked import Asked, known_keys
from bayesgmm.plots.panels import MARKERS, ComponentLabeller, backend_module, check_panels, make_panels, marker_size
from bayesgmm.posterior.datatree import COMPONENT, FEATURE, MixtureView

INK, MUTED, PALE = "#000000", "#595959", "#BDBDBD"
DASHES = {"bokeh": "dashed", "plotly": "dash"}

PARTS = {"plot_axis": ["x", "y"], "kwarg": ["x", "y_bottom", "y_top"]}
"""What arviz-plots calls the numbers of a line or a point, and those of a band."""

Entry = tuple[str, dict[str, Any]]
"""Label and line properties of an entry of a legend."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PlotCollection with what the caller asked of its visuals.

    Attributes
    ----------
    collection : PlotCollection
        Its panels lie along one dimension; the colour of a component is an aesthetic of it.
    panel : str
        That dimension.
    visuals, aes_by_visuals : dict
        As in arviz-plots: properties of each visual, or False to leave it out; aesthetics each visual follows.
    labeller : Labeller
    fresh : bool
        Whether the collection was made here: texts and legend are written once, by the call that makes it.
    """

    collection: PlotCollection
    panel: str
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

    @property
    def line_break(self) -> str:
        """What parts the lines of a title; Plotly writes none of the usual kind."""
        return "; " if self.collection.backend == "plotly" else "\n"

    def only_matplotlib(self, **properties: Any) -> dict[str, Any]:
        """Properties that other backends do not know: kept for matplotlib, dropped elsewhere."""
        return properties if self.collection.backend == "matplotlib" else {}

    def marker_size(self, area: float) -> float:
        """Size of a marker from its area in square points."""
        return marker_size(self.collection.backend, area)

    def wanted(self, name: str) -> bool:
        """Whether a visual is to be drawn."""
        return self.visuals.get(name, True) is not False

    def asked(self, name: str, **defaults: Any) -> dict[str, Any]:
        """Properties of a visual: the defaults, but for those that the caller asked for."""
        asked = self.visuals.get(name, {})
        return {**defaults, **(asked if isinstance(asked, Mapping) else {})}

    def lay(self, panels: Sequence[str], values: Any, *dims: str, **coords: Any) -> xr.DataArray:
        """Name numbers to draw: values (panel, *dims) of some panels; dims that `PARTS` knows have its coordinates."""
        values, dims = np.asarray(values), (self.panel, *dims)
        known = {**PARTS, COMPONENT: np.arange(values.shape[dims.index(COMPONENT)]) if COMPONENT in dims else None}
        named = {**known, **coords, self.panel: list(panels)}
        return xr.DataArray(values, dims=dims, coords={dim: named[dim] for dim in dims if dim in named})

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
            **self.asked(name, **defaults),
        )

    def set_axis(self, name: str, function: Callable[..., Any], panels: Sequence[str], **properties: Any) -> None:
        """Set the ends or the ticks of an axis, by a function of `arviz_plots.visuals`."""
        self.draw(name, function, self.lay(panels, np.zeros(len(panels))), store_artist=False, **properties)

    def write(self, name: str, texts: Mapping[Any, str], **defaults: Any) -> None:
        """Write a text into each panel: `name` is "xlabel", "ylabel" or "title"; `texts` is by panel."""
        if not self.fresh:
            return

        def put(da: xr.DataArray, target: Any, **properties: Any) -> Any:
            return getattr(self.backend, name)(da.item(), target, **properties)

        self.draw(name, put, self.lay(list(texts), np.array(list(texts.values()), dtype=object)), **defaults)

    def write_all(self, name: str, text: str, panels: Sequence[str]) -> None:
        """Write the same text into each panel."""
        self.write(name, dict.fromkeys(panels, text))

    def head(self, text: str) -> None:
        """Write the title of the figure."""
        if self.fresh and self.wanted("title"):
            self.collection.add_title(**self.asked("title", text=text))

    def add_colorbar(self, name: str, panel: str, **defaults: Any) -> None:
        """Put the scale of colours beside a panel whose visual `name` has one; matplotlib alone can."""
        drawn = self.fresh and self.wanted(name) and self.wanted("colorbar")
        if not drawn or self.collection.backend != "matplotlib":
            return
        where = {self.panel: panel}
        coloured, axes = self.collection.get_viz(name, name, where), self.collection.get_target(None, where)
        bar = self.collection.get_viz("figure").colorbar(coloured, ax=axes, **self.asked("colorbar", **defaults))
        self.collection.viz["colorbar"] = xr.DataArray(np.array(bar, dtype=object))

    def legend(self, entries: Sequence[Entry]) -> None:
        """Put a legend outside of the panels."""
        if not (self.fresh and self.wanted("legend")) or self.collection.backend == "none":
            return
        lines = [dict(line) for _, line in entries]
        if self.collection.backend == "plotly":
            lines = [{"opacity" if key == "alpha" else key: v for key, v in line.items()} for line in lines]
        self.collection.viz[f"legend/{COMPONENT}"] = xr.DataArray(
            self.backend.legend(
                self.collection,
                lines,
                [label for label, _ in entries],
                legend_dim=(COMPONENT,),
                update_visuals=False,
                **self.asked("legend", **self.only_matplotlib(frameon=False)),
            )
        )

    def entries_of(self, by_visual: Mapping[str, Sequence[Entry]]) -> list[Entry]:
        """Legend entries of those visuals that are drawn."""
        return [entry for name, entries in by_visual.items() if self.wanted(name) for entry in entries]

    def component_entries(self, n_components: int, **line: Any) -> list[Entry]:
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

    def mark_entry(self, label: str, marker: str = "o", area: float = 20.0) -> Entry:
        """Legend entry of a dot ("o"), a stroke ("|") or a cross ("x"); other backends' legends know lines only."""
        mark = {"linestyle": "none", "marker": marker, "markersize": np.sqrt(area)}
        edge = {"markeredgewidth": 0 if marker == "o" else 1}
        return label, {"color": MUTED, **self.only_matplotlib(**mark, **edge)}

    def noise_entries(self, label: np.ndarray) -> list[Entry]:
        """Legend entry of the rows of noise; none where no row is."""
        there = (np.asarray(label) == NOISE_LABEL).any() and self.wanted("noise")
        return [self.mark_entry("noise", marker="x", area=25)] if there else []

    def feature_labels(self, mixture: MixtureView, features: Sequence[int]) -> list[str]:
        """Axis labels of features, with their units where they have any."""
        names = [self.labeller.sel_to_str({FEATURE: mixture.feature_names[j]}, {FEATURE: 0}) for j in features]
        units = [mixture.units[j] for j in features]
        return [f"{name} [{unit}]" if unit else name for name, unit in zip(names, units, strict=True)]


def open_picture(
    panel: str,
    panels: Sequence[str],
    n_components: int,
    asked: Asked,
    visual_names: Sequence[str],
    followed: Mapping[str, Sequence[str]],
    *,
    panel_size: tuple[float, float],
    n_columns: int,
    more_aes: Mapping[str, tuple[str, Sequence[Any], Sequence[Any]]] | None = None,
) -> Picture:
    """Make the panels of a picture, or take those given.

    Parameters
    ----------
    panel, panels : str, sequence of str
        The dimension along which panels lie, and its coordinates.
    asked : Asked
    visual_names : sequence of str
        Visuals that this picture has.
    followed : mapping
        Aesthetics that visuals follow if nothing else is asked for.
    panel_size : (float, float)
        Width and height of a panel in inches.
    more_aes : mapping, optional
        Aesthetics beside colour and marker: {aesthetic: (dimension, coordinates, values)}.

    Raises
    ------
    ValueError
        For a visual that this picture does not have, or a `plot_collection` without these panels or components.
    """
    visuals = known_keys("visuals", asked.visuals, visual_names)
    aes_by_visuals = known_keys("aes_by_visuals", asked.aes_by_visuals, visual_names)
    followed = {name: aes for name, aes in followed.items() if name in visual_names}
    labeller = ComponentLabeller() if asked.labeller is None else asked.labeller
    collection = asked.plot_collection
    if collection is None:
        collection = make_panels(panel, panels, n_components, asked, panel_size, n_columns, more_aes or {})
    else:
        check_panels(panel, panels, n_components, collection)
    fresh = asked.plot_collection is None
    return Picture(collection, panel, visuals, {**followed, **aes_by_visuals}, labeller, fresh)
