"""What comparing posteriors costs, in units of the bare sampling: galaxies K = 1..6, Old Faithful K = 1..4.

Everything from the rows to the table: EM, models, modes, sampling, LOO with its refits, evidence. Compiled code is on
disk (another process has run the same comparison first) and the modules are imported; "new process" is the first
comparison of a process, "again" the second one, of other chains.

Bare sampling is the time that NUTS itself takes, for the same chains in the same comparison: nutpie's sampler on the
compiled log density, from starts and coordinates that are there already. Neither compilation nor the refits of LOO are
in it. The claim is the row "all" of "new process" in this unit. The last row counts as bare sampling what a user of
PyMC would wait for: compilation by `nutpie.compile_pymc_model`, which keeps nothing on disk, and then the same chains;
it is measured with ``--with-compilation``.
"""

import argparse
import subprocess
import sys
import time
import warnings

import arviz  # noqa: F401  (what is imported on first use is not to be timed)
import arviz_stats  # noqa: F401

import bayesgmm as bg
from bayesgmm.posterior import datatree
from bayesgmm.posterior.sampling import OtherModeWarning
from bayesgmm.selection import compare_posteriors as posterior_comparison

CASES = {"galaxies": range(1, 7), "faithful": range(1, 5)}


def once(name: str, seed: int) -> dict[str, float]:
    """Seconds of each part of one comparison."""
    X = bg.load_dataset(name)
    spent = {"LOO": 0.0, "evidence": 0.0}

    def timed(part, function):
        def call(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[part] += time.perf_counter() - start

        return call

    leave_one_out, log_evidence = posterior_comparison.leave_one_out, posterior_comparison.log_evidence
    posterior_comparison.leave_one_out = timed("LOO", leave_one_out)
    posterior_comparison.log_evidence = timed("evidence", log_evidence)
    try:
        start = time.perf_counter()
        posteriors = {f"K = {K}": bg.sample_posterior(X, K, random_seed=seed, progressbar=False) for K in CASES[name]}
        sampled = time.perf_counter()
        found = bg.compare_posteriors(posteriors, random_seed=seed)
        end = time.perf_counter()
    finally:
        posterior_comparison.leave_one_out, posterior_comparison.log_evidence = leave_one_out, log_evidence
    laps = [datatree.meta(dt)["seconds"] for dt in posteriors.values()]
    return {
        "bare sampling": sum(lap["sampling"] for lap in laps),
        "EM": sum(lap["em"] for lap in laps),
        "models, compiled code": sum(lap["model"] + lap["compilation"] for lap in laps),
        "modes": sum(lap["modes"] for lap in laps),
        "posteriors": sampled - start,
        "LOO with refits": spent["LOO"],
        "evidence": spent["evidence"],
        "all": end - start,
        "refits": float(found.table["n_refitted"].sum()),
        "no evidence": float(len(found.evidence_refusals)),
    }


def compilation(name: str) -> float:
    """Seconds that `nutpie.compile_pymc_model` takes for the models of a case."""
    import nutpie

    X = bg.load_dataset(name)
    start = time.perf_counter()
    for K in CASES[name]:
        nutpie.compile_pymc_model(bg.mixture_model(X, K))
    return time.perf_counter() - start


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fill", action="store_true", help="only run each comparison once, to fill the caches on disk")
    parser.add_argument("--with-compilation", action="store_true", help="time nutpie's own compilation too")
    options = parser.parse_args()
    warnings.simplefilter("ignore", OtherModeWarning)
    if options.fill:
        for name in CASES:
            once(name, 0)
        return
    subprocess.run([sys.executable, "-m", "tests.benchmarks.comparison_time", "--fill"], check=True)
    for name, counts in CASES.items():
        first, again = once(name, 1), once(name, 2)
        print(f"{name}, K = {counts[0]}..{counts[-1]}")
        print(f"{'':>24} {'new process s':>14} {'x bare':>7} {'again s':>9} {'x bare':>7}")
        for part in first:
            if part in ("refits", "no evidence"):
                print(f"{part:>24} {first[part]:>14.0f} {'':>7} {again[part]:>9.0f}")
                continue
            columns = [(one[part], one[part] / one["bare sampling"]) for one in (first, again)]
            print(
                f"{part:>24} {columns[0][0]:>14.2f} {columns[0][1]:>7.2f} {columns[1][0]:>9.2f} {columns[1][1]:>7.2f}"
            )
        if options.with_compilation:
            compiled = compilation(name)
            shares = [one["all"] / (one["bare sampling"] + compiled) for one in (first, again)]
            print(f"{'all, with compilation':>24} {compiled:>14.2f} {shares[0]:>7.2f} {'':>9} {shares[1]:>7.2f}")


if __name__ == "__main__":
    main()
