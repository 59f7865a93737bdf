"""A picture of the default priors: components drawn for each of the fourteen families, over the data they are for.

python tests/benchmarks/prior_predictive.py --picture docs/images/prior_predictive.png
"""

import argparse

import numpy as np
import pymc as pm
from pytensor.compile.mode import Mode

from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.families import FAMILIES
from bayesgmm.model.mixture_model import mixture_model

K = 3
COLUMNS = [0, 2]
"""Features in one unit: families with an orientation are not the same in another unit for one of them."""

COLOURS = ("#0072B2", "#D55E00")
HALF = np.sqrt(2.0 * np.log(2.0))
"""Radius, in standard deviations, of the ellipse that holds half of a component."""

INTERPRETED = Mode(linker="py", optimizer=None)
EXPLANATION = """Grey: iris, in cm.
Each colour: one mixture of three
components drawn from the default
prior; an ellipse holds half of its
component.

Codes: volume, shape, orientation.
E: common to all components.
V: each its own.
I: spheres, or axes parallel
to the features."""


def ellipse(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Points (2, 100) of the ellipse that holds half of a component."""
    angle = np.linspace(0.0, 2.0 * np.pi, 100)
    return mean[:, None] + HALF * np.linalg.cholesky(covariance) @ np.array([np.cos(angle), np.sin(angle)])


def main() -> None:
    """Draw, and print the quartiles of the components' standard deviations in units of the data's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", required=True, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    data = load_dataset("iris")
    X = data.values[:, COLUMNS]
    names = [str(data.coords[data.dims[1]].values[j]) for j in COLUMNS]
    mean, sd = X.mean(axis=0), X.std(axis=0)
    figure, axes = plt.subplots(3, 5, figsize=(13, 8), sharex=True, sharey=True, layout="constrained")
    print(f"{'family':<10} quartiles of sd / sd of the data, {names[0]} and {names[1]} (200 draws, K = {K})")
    for ax, family in zip(axes.flat, FAMILIES.values(), strict=False):
        model = mixture_model(X, K, covariance_type=family.name)
        means, covariances = pm.draw(
            [model["means"], model["covariances"]], 200, mode=INTERPRETED, random_seed=options.seed
        )
        ratios = np.sqrt(np.diagonal(covariances, axis1=2, axis2=3)).reshape(-1, 2) / sd
        print(f"{family.name:<10}", *np.round(np.quantile(ratios, [0.25, 0.5, 0.75], axis=0).T, 2).tolist(), flush=True)
        ax.plot(*X.T, ".", color="#BFBFBF", markersize=2)
        for draw, colour in enumerate(COLOURS):
            for k in range(K):
                ax.plot(*ellipse(means[draw, k], covariances[draw, k]), color=colour, linewidth=1.4)
        ax.set_title(family.code + ("" if family.name == family.code else f' ("{family.name}")'), fontsize=11)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_aspect("equal")
    reach = 5 * sd.max()
    ax.set_xlim(mean[0] - reach, mean[0] + reach)
    ax.set_ylim(mean[1] - reach, mean[1] + reach)
    last = axes.flat[-1]
    last.axis("off")
    last.text(0.02, 0.95, EXPLANATION, transform=last.transAxes, va="top", fontsize=10)
    figure.supxlabel(names[0])
    figure.supylabel(names[1])
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
