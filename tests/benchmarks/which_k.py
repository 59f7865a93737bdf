"""How often each criterion finds the number of components, by number of rows and by separation.

python tests/benchmarks/which_k.py [--replications 20] [--results which_k.jsonl] [--picture which_k.png]

Rows are simulated from three Gaussians in two dimensions, with unequal weights, shapes and orientations. Separation is
the distance of the nearest pair of means in standard deviations: sqrt(d^T M^-1 d), d the difference of means and M the
mean of the two covariances. Candidates are one to five components, full covariances, default priors.

Each data set is a line of `--results`, written as soon as it is done: a run that was interrupted goes on where it was.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayesgmm as bg

TRUE_K = 3
CANDIDATES = range(1, 6)
WEIGHTS = np.array([0.5, 0.3, 0.2])
COVARIANCES = np.array([[[1.0, 0.5], [0.5, 1.0]], [[0.4, 0.0], [0.0, 1.2]], [[0.5, -0.3], [-0.3, 0.5]]])
DIRECTIONS = np.array([[0.0, 0.0], [1.0, 0.1], [0.4, 0.9]])

ROWS = (100, 300, 1000)
SEPARATIONS = (2.0, 3.0, 4.0)
LEVEL = 0.05

CRITERIA = {
    "BIC": "em",
    "ICL": "em",
    "AIC": "em",
    "cross-validation": "em",
    "bootstrap test": "em",
    "LOO": "posterior",
    "evidence": "posterior",
}
OUTCOMES = ("right", "too few", "too many")


def truth(separation: float) -> bg.GaussianMixture:
    """Mixture whose nearest means are so many standard deviations apart."""
    nearest = min(_distance(j, k) for j in range(TRUE_K) for k in range(j))
    return bg.from_parameters(WEIGHTS, DIRECTIONS * separation / nearest, COVARIANCES)


def _distance(j: int, k: int) -> float:
    difference = DIRECTIONS[j] - DIRECTIONS[k]
    return float(np.sqrt(difference @ np.linalg.solve((COVARIANCES[j] + COVARIANCES[k]) / 2, difference)))


def simulate(separation: float, n_rows: int, replication: int) -> np.ndarray:
    """Rows of one data set; the same each time."""
    seed = np.random.SeedSequence([round(100 * separation), n_rows, replication]).generate_state(1)[0]
    mixture = truth(separation)
    return bg.generate(mixture, n_rows, random_seed=int(seed))["posterior_predictive"]["x"].values[0, 0]


def by_em(X: np.ndarray, seed: int) -> dict[str, int | None]:
    """Number of components that each criterion of EM fits finds."""
    compared = bg.compare(X, CANDIDATES, covariance_type="full", random_state=seed)
    held_out = bg.cross_validate(X, CANDIDATES, n_init=2, random_state=seed)
    return {
        **{name.upper(): int(compared.best(name).n_components) for name in ("bic", "icl", "aic")},
        "cross-validation": held_out.best()[1],
        "bootstrap test": by_tests(X, seed),
    }


def by_tests(X: np.ndarray, seed: int) -> int:
    """Number of components of the first null hypothesis that the bootstrap test does not reject."""
    for K in CANDIDATES[:-1]:
        try:
            found = bg.bootstrap_test(X, K, n_bootstrap=19, n_init=1, random_seed=seed)
        except ValueError:  # no admissible fit with one component more
            return K
        if found.p_value > LEVEL:
            return K
    return CANDIDATES[-1]


def by_posterior(X: np.ndarray, seed: int) -> dict[str, int | None]:
    """Number of components by leave-one-out and by evidence, among those whose chains give one."""
    elpd, evidence = {}, {}
    for K in CANDIDATES:
        dt = bg.sample_posterior(X, K, draws=500, tune=500, chains=2, cores=1, random_seed=seed, progressbar=False)
        elpd[K] = float(bg.leave_one_out(dt, refit=False).elpd.elpd)
        try:
            evidence[K] = bg.log_evidence(dt, random_seed=seed).value
        except ValueError:  # chains that do not agree, or modes that no proposal covers
            continue
    return {name: max(said, key=said.__getitem__) for name, said in (("LOO", elpd), ("evidence", evidence)) if said}


PARTS: dict[str, Callable[[np.ndarray, int], dict[str, int | None]]] = {"em": by_em, "posterior": by_posterior}


def jobs(replications: int, parts: Iterable[str], sizes: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Every data set and what to do with it; an interrupted run has done all cells about equally often."""
    for replication in range(replications):
        for n_rows in sizes:
            for separation in SEPARATIONS:
                for part in parts:
                    yield {"separation": separation, "rows": n_rows, "replication": replication, "part": part}


def read(path: Path | None) -> list[dict[str, Any]]:
    """Lines of an earlier run; a last one that was cut short is left out."""
    if path is None or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line.endswith("}")]


def key(job: dict[str, Any]) -> tuple[Any, ...]:
    """What a job is told apart by."""
    return job["separation"], job["rows"], job["replication"], job["part"]


def study(replications: int, parts: Iterable[str], sizes: Iterable[int], results: Path | None) -> list[dict[str, Any]]:
    """Do what has not been done, and return everything."""
    done = read(results)
    known = {key(one) for one in done}
    for job in jobs(replications, parts, sizes):
        if key(job) in known:
            continue
        start = time.perf_counter()
        X = simulate(job["separation"], job["rows"], job["replication"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too many components warn, as they should
            found = PARTS[job["part"]](X, job["replication"])
        job |= {"found": found, "seconds": round(time.perf_counter() - start, 2)}
        done.append(job)
        if results is not None:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(job) + "\n")
                file.flush()
                os.fsync(file.fileno())
        print(json.dumps(job), file=sys.stderr, flush=True)
    return done


def shares(done: list[dict[str, Any]]) -> pd.DataFrame:
    """Shares of data sets with the right number, too few and too many, with binomial standard errors."""
    rows = []
    for separation in SEPARATIONS:
        for n_rows in ROWS:
            for criterion, part in CRITERIA.items():
                cell = [one for one in done if key(one)[:2] == (separation, n_rows) and one["part"] == part]
                if not cell:
                    continue
                found = np.array([one["found"].get(criterion) or np.nan for one in cell])
                share = {
                    "right": np.mean(found == TRUE_K),
                    "too few": np.mean(found < TRUE_K),
                    "too many": np.mean(found > TRUE_K),
                }
                row: dict[str, Any] = {"separation": separation, "rows": n_rows, "criterion": criterion, "n": len(cell)}
                for name in OUTCOMES:
                    row[name] = share[name]
                    row[f"{name} error"] = _error(share[name], len(cell))
                rows.append(row)
    return pd.DataFrame(rows)


def _error(share: float, n: int) -> float:
    """Binomial standard error, of the share (x + 1) / (n + 2): few data sets that agree are not certain."""
    shrunk = (share * n + 1) / (n + 2)
    return float(np.sqrt(shrunk * (1 - shrunk) / (n + 3)))


def print_table(table: pd.DataFrame) -> None:
    """One line for each separation, number of rows and criterion."""
    names = "".join(f" {name:>13}" for name in OUTCOMES)
    print(f"{'separation':>10} {'rows':>5} {'criterion':<17} {'data sets':>9}{names}   (shares, standard errors)")
    for row in table.to_dict("records"):
        cells = "".join(f" {row[name]:>6.2f} ± {row[f'{name} error']:.2f}" for name in OUTCOMES)
        print(f"{row['separation']:>10.0f} {row['rows']:>5} {row['criterion']:<17} {row['n']:>9}{cells}")


def draw(table: pd.DataFrame, path: Path) -> None:
    """Bars of the three shares, a panel for each separation and number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    # Okabe & Ito: told apart also by who does not see red or green
    colours = {"right": "#0072B2", "too few": "#E69F00", "too many": "#CCCCCC"}
    figure, panels = plt.subplots(
        len(SEPARATIONS), len(ROWS), figsize=(9.5, 8.0), sharex=True, sharey=True, layout="constrained"
    )
    names = list(CRITERIA)
    for i, separation in enumerate(SEPARATIONS):
        for j, n_rows in enumerate(ROWS):
            axes = panels[i, j]
            cell = table[(table["separation"] == separation) & (table["rows"] == n_rows)].set_index("criterion")
            left = np.zeros(len(cell))
            places = [names.index(name) for name in cell.index]
            for outcome in OUTCOMES:
                share = cell[outcome].to_numpy()
                axes.barh(places, share, left=left, color=colours[outcome], label=outcome, height=0.78)
                left += share
            for place, share, error in zip(places, cell["right"], cell["right error"], strict=True):
                low, high = max(share - error, 0.0), min(share + error, 1.0)
                axes.plot([low, high], [place, place], color="black", linewidth=1.2, solid_capstyle="butt")
                inside = low > 0.25
                axes.text(
                    low - 0.03 if inside else high + 0.03,
                    place,
                    f"{100 * share:.0f}",
                    ha="right" if inside else "left",
                    va="center",
                    color="white" if inside else "black",
                    fontsize=9,
                )
            if i == 0:
                axes.set_title(f"{n_rows} rows", fontsize=11)
            if j == len(ROWS) - 1:
                axes.yaxis.set_label_position("right")
                axes.set_ylabel(f"means {separation:.0f} sd apart", fontsize=11, rotation=270, labelpad=16)
            axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), xticklabels=("0", "50 %", "100 %"))
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
    panels[0, 0].invert_yaxis()
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        [f"{label} components" if label != "right" else "right: 3 components" for label in labels],
        loc="outside upper center",
        ncols=3,
        frameon=False,
        fontsize=11,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run the study, print its table, draw its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=1, help="data sets in each cell (about 25 s each)")
    parser.add_argument("--only", choices=PARTS, help="criteria of EM fits, or of posteriors, alone")
    parser.add_argument("--rows", type=int, choices=ROWS, help="data sets of this size alone")
    parser.add_argument("--results", type=Path, help="file of an outcome a line, which a later run goes on with")
    parser.add_argument("--picture", type=Path, help="draw the table there")
    options = parser.parse_args()
    parts = [options.only] if options.only else list(PARTS)
    sizes = [options.rows] if options.rows else ROWS
    table = shares(study(options.replications, parts, sizes, options.results))
    print_table(table)
    if options.picture:
        draw(table, options.picture)


if __name__ == "__main__":
    main()
