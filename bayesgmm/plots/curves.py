"""Curves along one feature: densities of the components and of noise, and where to draw them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesgmm.data.observations import as_new_observations
from bayesgmm.kernel.passes import map_rows
from bayesgmm.mixture.parameters import MixtureParameters


def component_densities(parameters: MixtureParameters, feature: int, points: np.ndarray) -> np.ndarray:
    """weights_k N(x | mu_k, sigma_k^2) of one feature in each of S mixtures, per unit of the feature.

    Where there is noise, times one minus its share.

    Returns
    -------
    (M, S, K) array for M points
    """
    one, share = _components(parameters, feature)
    rows = as_new_observations(points[:, None], one, ("x0",))
    densities = map_rows(lambda log_joint: np.moveaxis(np.exp(log_joint), -1, 0), rows, one, trailing=one.weights.shape)
    return densities * share[:, None]


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


def n_bins(n_rows: int) -> int:
    """Bins fine enough to show modes: 4 N^(1/3), between 12 and 120."""
    return int(np.clip(np.ceil(4 * n_rows ** (1 / 3)), 12, 120))
