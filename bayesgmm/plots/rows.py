"""Which features and which rows a picture shows, and the densities of a marginal, by component.

May import NumPy, xarray, arviz_base and the modules below ``plots/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.plots.picture import known_keys
from bayesgmm.posterior.datatree import (
    COMPONENT,
    OBS,
    MixtureView,
)
from bayesgmm.questions.membership import membership


def choose_features(mixture: MixtureView, features: str | Sequence[str] | None, most: int | None = None) -> list[int]:
    """Positions of the features asked for; the first `most` of all of them where none are.

    Raises
    ------
    ValueError
        For a name that is not a feature, or is given twice.
    """
    names = mixture.feature_names
    if features is None:
        return list(range(len(names)))[:most]
    asked = [features] if isinstance(features, str) else list(features)
    unknown = [name for name in asked if name not in names]
    if unknown or not asked or len(set(asked)) < len(asked):
        raise ValueError(f"`features` is {features!r}; expected distinct names among {list(names)}.")
    return [names.index(name) for name in asked]


def shown(n_drawn: int, n_rows: int) -> str:
    """Say how many rows are drawn."""
    return f"{n_rows} rows" if n_drawn == n_rows else f"{n_drawn} of {n_rows} rows"


def point_style(n_drawn: int, area: float, alpha: float) -> tuple[float, float]:
    """Area and opacity of points: smaller and fainter where they are many."""
    return (area, alpha) if n_drawn <= 1000 else (area / 2, alpha / 2)


def known_membership(stats: Mapping[str, Any] | None, n_rows: int) -> xr.Dataset | None:
    """Return the memberships given as ``stats={"membership": ...}``, if any.

    Raises
    ------
    ValueError
        For another key, or memberships of another number of rows.
    """
    known = known_keys("stats", stats, ["membership"]).get("membership")
    if known is not None and known.sizes[OBS] != n_rows:
        raise ValueError(
            f'stats["membership"] has {known.sizes[OBS]} rows, and the data {n_rows}: they must be the same.'
        )
    return known


def own_rows(label: np.ndarray, n_components: int) -> xr.DataArray:
    """Whether the most probable component of a row is each of them, (component, obs_id); rows of noise are of none."""
    components = np.arange(n_components)
    return xr.DataArray(label == components[:, None], dims=(COMPONENT, OBS), coords={COMPONENT: components})


def labels_of_rows(dt: "xr.DataTree | GaussianMixture", mixture: MixtureView, observations: Observations) -> np.ndarray:
    """Labels of rows, (N,), of which -1 is noise; zeros, without a look, where the mixture has none."""
    if mixture.parameters.noise is None:
        return np.zeros(observations.n_rows, dtype=np.int64)
    return membership(dt, observations, intervals=False, n_simulated=0, progressbar=False)["label"].values


def component_densities(parameters: MixtureParameters, feature: int, points: np.ndarray) -> np.ndarray:
    """weights_k N(x | mu_k, sigma_k^2) of one feature in each of S mixtures, per unit of the feature.

    Where there is noise, times one minus its share.

    Returns
    -------
    (M, S, K) array for M points
    """
    one, share = _components(parameters, feature)
    rows = as_new_observations(points[:, None], one, ("x0",))
    found = map_rows(lambda log_joint: np.moveaxis(np.exp(log_joint), -1, 0), rows, one, trailing=one.weights.shape)
    return found * share[:, None]


def mean_component_densities(parameters: MixtureParameters, feature: int, points: np.ndarray) -> np.ndarray:
    """Average `component_densities` over the mixtures, (M, K), without keeping them all."""
    one, share = _components(parameters, feature)
    rows = as_new_observations(points[:, None], one, ("x0",))

    def mean(log_joint: np.ndarray) -> np.ndarray:
        return (np.exp(log_joint) * share[:, None, None]).mean(axis=0).T

    return map_rows(mean, rows, one, trailing=(one.n_components,))


def mean_noise_density(parameters: MixtureParameters, feature: int, points: np.ndarray) -> np.ndarray | None:
    """Average over the mixtures of pi_0 u(x) of one feature, (M,); None without noise.

    Raises
    ------
    BackgroundError
        When noise is uniform in a hull of several features.
    """
    noise = parameters.noise
    if noise is None:
        return None
    background = noise.background.marginal([feature])
    level = float(noise.weight.mean()) * np.exp(-background.log_volume)
    return np.where(background.contains(points[:, None]), level, 0.0)


def _components(parameters: MixtureParameters, feature: int) -> tuple[MixtureParameters, np.ndarray]:
    """One feature of the components alone, and their share of the rows in each mixture, (S,)."""
    noise = parameters.noise
    share = np.ones(parameters.batch_shape) if noise is None else 1.0 - noise.weight
    return replace(parameters, noise=None).marginal([feature]), share


def visible(densities: np.ndarray) -> np.ndarray:
    """Put NaN where curves run along the axis (under 0.4 % of the highest) and would hide others."""
    return np.where(densities > 4e-3 * densities.max(), densities, np.nan)


def grid(values: np.ndarray, n_points: int, margin: float = 0.12) -> np.ndarray:
    """Equally spaced points over the range of the values, and a share of it on either side."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    beyond = margin * (high - low)
    return np.linspace(low - beyond, high + beyond, n_points)


def curve_grid(values: np.ndarray, n_points: int, parameters: MixtureParameters, feature: int) -> np.ndarray:
    """Points to draw curves at: `grid`, and more of them about each component, however narrow it is."""
    even = grid(values, n_points)
    means = parameters.means[..., feature].mean(axis=0)
    sds = np.sqrt(parameters.covariances[..., feature, feature].mean(axis=0))
    points = np.concatenate([even, *(mean + sd * np.linspace(-4, 4, 33) for mean, sd in zip(means, sds, strict=True))])
    return np.sort(np.clip(points, even[0], even[-1]))


def density_label(units: Sequence[str]) -> str:
    """Axis label of a density: per unit of each feature, where units are known."""
    if not all(units):
        return "density"
    bare = [unit if unit.isalnum() else f"({unit})" for unit in units]
    if len(bare) == 1:
        return f"density [1/{bare[0]}]"
    return f"density [1/{bare[0]}²]" if len(set(bare)) == 1 else f"density [1/({' '.join(bare)})]"


def check_count(name: str, value: int, least: int = 1) -> int:
    """Accept a whole number of at least `least`.

    Raises
    ------
    ValueError
        When it is smaller.
    """
    if int(value) != value or value < least:
        raise ValueError(f"`{name}` must be a whole number of at least {least}; received {value!r}.")
    return int(value)
