"""The rows in a picture: dots in the colours of their components, strokes along an axis, and grey crosses for noise.

May import arviz_plots and the modules below ``plots/``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots.visuals import scatter_x, scatter_xy

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.plots.picture import MUTED, Picture
from bayesgmm.posterior.datatree import COMPONENT, OBS, MixtureView
from bayesgmm.questions.membership import membership

CROSSES = {"plotly": "x-thin-open"}

MOST_VECTORS = 1000
"""Marks beyond which they are one image in a file of vectors."""


def shown(n_drawn: int, n_rows: int) -> str:
    """Say how many rows are drawn."""
    return f"{n_rows} rows" if n_drawn == n_rows else f"{n_drawn} of {n_rows} rows"


def point_style(n_drawn: int, area: float, alpha: float) -> tuple[float, float]:
    """Area and opacity of points: smaller and fainter where they are many."""
    return (area, alpha) if n_drawn <= 1000 else (area / 2, alpha / 2)


def labels_of_rows(dt: "xr.DataTree | GaussianMixture", mixture: MixtureView, observations: Observations) -> np.ndarray:
    """Labels of rows, (N,), of which -1 is noise; zeros, without a look, where the mixture has none."""
    if mixture.parameters.noise is None:
        return np.zeros(observations.n_rows, dtype=np.int64)
    return membership(dt, observations, intervals=False, n_simulated=0, progressbar=False)["label"].values


def own_rows(label: np.ndarray, n_components: int) -> xr.DataArray:
    """Whether the most probable component of a row is each of them, (component, obs_id); rows of noise are of none."""
    components = np.arange(n_components)
    return xr.DataArray(label == components[:, None], dims=(COMPONENT, OBS), coords={COMPONENT: components})


def complete(visual: Callable[..., Any], dim: str = OBS) -> Callable[..., Any]:
    """Leave out the rows that are NaN, those of other components, before drawing."""

    def draw(da: xr.DataArray, target: Any, **properties: Any) -> Any:
        return visual(da.dropna(dim), target, **properties)

    return draw


def draw_dots(picture: Picture, name: str, points: xr.DataArray, area: float | None = None, **properties: Any) -> None:
    """Draw rows (..., plot_axis, obs_id) as dots of an area in square points, those that are NaN left out."""
    size = {} if area is None else {"size": picture.marker_size(area)}
    edges = picture.only_matplotlib(rasterized=points.sizes[OBS] > MOST_VECTORS, linewidths=0)
    picture.draw(name, complete(scatter_xy), points, **{**size, **edges, **properties})


def draw_rows(
    picture: Picture,
    name: str,
    points: xr.DataArray,
    label: np.ndarray,
    area: float,
    alpha: float,
    n_components: int | None = None,
) -> None:
    """Draw rows as dots: by their components, or all in grey; and those of noise as crosses."""
    draw_dots(picture, name, points.where(_of_clusters(label, n_components)), area, alpha=alpha, **_grey(n_components))
    draw_noise(picture, points, label, area=2 * area, alpha=alpha)


def draw_rug(
    picture: Picture,
    panels: Sequence[str],
    values: np.ndarray,
    label: np.ndarray,
    n_components: int | None,
    *,
    at: Any,
    noise: str = "noise",
    areas: tuple[float, float] = (50.0, 20.0),
    width: float = 0.8,
) -> None:
    """Draw rows (panel, N) as strokes at a height: by their components, or all in grey; noise as small crosses.

    `areas`, in square points, are those of a stroke and of a cross; `width` is that of a stroke.
    """
    rug = picture.lay(panels, values, OBS)
    edges = picture.only_matplotlib(linewidths=width, rasterized=rug.sizes[OBS] > MOST_VECTORS)
    strokes = {"y": at, "marker": "|", "size": picture.marker_size(areas[0]), **edges, **_grey(n_components)}
    picture.draw("rug", complete(scatter_x), rug.where(_of_clusters(label, n_components)), **strokes)
    draw_noise(picture, rug, label, name=noise, function=scatter_x, y=at, area=areas[1])


def draw_noise(
    picture: Picture,
    points: xr.DataArray,
    label: np.ndarray | xr.DataArray,
    *,
    name: str = "noise",
    function: Callable[..., Any] = scatter_xy,
    area: float | None = None,
    **properties: Any,
) -> None:
    """Draw the rows of noise in grey, and as crosses where they are marks; nothing where no row is noise.

    Parameters
    ----------
    points : DataArray
        Its dimension obs_id holds the rows.
    label : (obs_id,) or (panel, obs_id) int
    area : float, optional
        Of a cross, in square points.
    name, function, **properties
        As in `draw`.
    """
    label = label if isinstance(label, xr.DataArray) else xr.DataArray(label, dims=OBS)
    noise = label == NOISE_LABEL
    if not noise.any():
        return
    if area is not None:
        properties["size"] = picture.marker_size(area)
    if function in (scatter_x, scatter_xy):
        crosses = {"marker": CROSSES.get(picture.collection.backend, "x"), **picture.only_matplotlib(linewidths=0.8)}
        properties = {**crosses, **properties}
    picture.draw(name, complete(function), points.where(noise), **{"color": MUTED, **properties})


def _of_clusters(label: np.ndarray, n_components: int | None) -> xr.DataArray:
    """Rows that are not of noise: of each component, or of any."""
    return xr.DataArray(label != NOISE_LABEL, dims=OBS) if n_components is None else own_rows(label, n_components)


def _grey(n_components: int | None) -> dict[str, str]:
    return {"color": MUTED} if n_components is None else {}
