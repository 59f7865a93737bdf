"""Run every configuration in processes of its own; a table of p-values, and the pictures of `az.plot_ecdf_pit`.

python -m tests.calibration.study [--replications 200] [--only full] [--pictures docs/images]
"""

import os

# before NumPy: chains in several processes, one thread each
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from multiprocessing import get_context  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

from tests.calibration.bands import band  # noqa: E402
from tests.calibration.configurations import FAULTY, HONEST  # noqa: E402
from tests.calibration.sbc import KEPT, LEAST_ESS, Configuration, calibrate, p_values  # noqa: E402

REPLICATIONS = 200
LEVEL = 0.01
"""Family-wise: over all quantities of all honest configurations a correct sampler leaves a band once in a hundred."""


def _timed(configuration: Configuration, replications: int) -> tuple[xr.DataTree, float]:
    start = time.perf_counter()
    return calibrate(configuration, replications), time.perf_counter() - start


def run(
    configurations: Sequence[Configuration], replications: int = REPLICATIONS, processes: int | None = None
) -> Iterator[tuple[Configuration, xr.DataTree, float]]:
    """Each configuration with its DataTree and the seconds it took, in order, as they end."""
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_timed, one, replications) for one in configurations]
        for configuration, future in zip(configurations, waiting, strict=True):
            yield configuration, *future.result()


def level_of_one(trees: dict[str, xr.DataTree], honest: Sequence[Configuration] = HONEST) -> float:
    """Level of each band (Bonferroni over the quantities of the honest configurations)."""
    return LEVEL / max(1, sum(len(trees[one.name]["ranks"].data_vars) for one in honest if one.name in trees))


HEADER = (
    f"{'configuration':<44} {'quantities':>10} {'smallest p':>11} {'of':<18} "
    f"{'R-hat > 1.05':>12} {f'ESS < {LEAST_ESS}':>9} {'seconds':>8}"
)


def row(configuration: Configuration, tree: xr.DataTree, seconds: float) -> str:
    """One line of the table."""
    found = p_values(tree)
    worst = min(found, key=found.__getitem__)
    rhat, ess = (tree["sampling"][name].values for name in ("rhat", "ess"))
    return (
        f"{configuration.name:<44} {len(found):>10} {found[worst]:>11.2g} {worst:<18} "
        f"{int((rhat > 1.05).sum()):>12} {int((ess < LEAST_ESS).sum()):>9} {seconds:>8.0f}"
    )


def strip(tree: xr.DataTree, level: float) -> np.ndarray:
    """Picture of one configuration, quantities side by side, as an image (height, width, 4)."""
    import arviz_plots
    from matplotlib import pyplot as plt

    names = list(tree["prior_sbc"].data_vars)
    picture = arviz_plots.plot_ecdf_pit(
        tree,
        backend="matplotlib",
        envelope_prob=1 - level,
        col_wrap=len(names),
        visuals={"p_value_text": False, "xlabel": False, "ylabel": False},
        figure_kwargs={"figsize": (1.9 * len(names), 2.2)},
    )
    figure = picture.viz["figure"].item()
    points, lowest, highest = band(level, tree["ranks"].sizes["draw"], KEPT)
    for name in names:
        axes = picture.viz["plot"][name].item()
        axes.fill_between(points, lowest - points, highest - points, color="#0072B2", alpha=0.15, step="mid")
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set(xticks=(0, 0.5, 1), xlabel="", ylabel="")
    figure.suptitle(tree.attrs["configuration"], fontsize=10, x=0.01, y=0.995, ha="left", va="top")
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba()).copy()
    plt.close(figure)
    return image


def draw(trees: dict[str, xr.DataTree], configurations: Sequence[Configuration], level: float, path: Path) -> None:
    """Write the strips of some configurations under each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    strips = [strip(trees[one.name], level) for one in configurations if one.name in trees]
    if not strips:
        return
    width = max(image.shape[1] for image in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    plt.imsave(path, np.concatenate(padded))


def pictures(trees: dict[str, xr.DataTree], folder: Path) -> None:
    """One picture for each family, and one of the planted faults."""
    level = level_of_one(trees)
    for family in dict.fromkeys(one.covariance_type for one in HONEST):
        chosen = [one for one in HONEST if one.covariance_type == family]
        draw(trees, chosen, level, folder / f"sbc_{family}.png")
    draw(trees, FAULTY, level, folder / "sbc_faults.png")


def main() -> int:
    """Print the table; return how many configurations are not as they should be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    parser.add_argument("--only", default="", help="configurations whose name contains this")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    trees = {}
    print(HEADER, flush=True)
    chosen = [one for one in (*HONEST, *FAULTY) if options.only in one.name]
    for configuration, tree, seconds in run(chosen, options.replications):
        trees[configuration.name] = tree
        print(row(configuration, tree, seconds), flush=True)
    level = level_of_one(trees)
    wrong = [one.name for one in chosen if one.faulty != (min(p_values(trees[one.name]).values()) < level)]
    print(f"level of one band {level:.2g}; not as they should be: {', '.join(wrong) or 'none'}")
    if options.pictures:
        pictures(trees, options.pictures)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
