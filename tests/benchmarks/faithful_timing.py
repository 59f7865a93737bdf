"""How long a user waits: Old Faithful, K = 2, full, 4 chains of 1000 + 1000, in fresh processes, part by part.

`sample_posterior` whole (EM, modes, compilation, sampling, alignment, pointwise log likelihood) against PyMC's
default, `pm.sample` on the same model, and on `pm.Mixture` of `pm.MvNormal` with the same priors. Imports are apart.
Warm: compilation caches on disk are filled; cold: they are empty, in folders made for the purpose.

python tests/benchmarks/faithful_timing.py [--pairs 3] [--without-cold]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"chains": 4, "tune": 1000, "draws": 1000, "random_seed": 1, "progressbar": False}
WANTED = 0.6
"""Largest ratio of `sample_posterior` to `pm.sample` on the same model, caches warm."""

WAYS = {"ours": "sample_posterior", "same": "pm.sample, same model", "mixture": "pm.sample, pm.Mixture"}


def ours() -> dict[str, float]:
    """Run `sample_posterior`; its own parts too."""
    start = time.perf_counter()
    import bayesgmm as bg
    from bayesgmm.posterior.datatree import meta

    call = bg.sample_posterior  # imports PyMC, PyTensor and ArviZ
    X, prior = _problem()
    imported = time.perf_counter()
    tree = call(X, 2, prior=prior, **SETTINGS)
    done = time.perf_counter()
    return {"imports": imported - start, "whole": done - imported, **meta(tree)["seconds"]}


def same() -> dict[str, float]:
    """Run `pm.sample` on the model of `mixture_model`."""
    start = time.perf_counter()
    import arviz  # noqa: F401
    import pymc as pm

    import bayesgmm as bg

    build = bg.mixture_model
    X, prior = _problem()
    imported = time.perf_counter()
    with build(X, 2, prior=prior):
        built = time.perf_counter()
        pm.sample(**SETTINGS)
    done = time.perf_counter()
    return {"imports": imported - start, "whole": done - imported, "model": built - imported, "sample": done - built}


def mixture() -> dict[str, float]:
    """Run `pm.sample` on `pm.Mixture` with the same priors."""
    start = time.perf_counter()
    import arviz  # noqa: F401
    import pymc as pm

    from tests.support.reference import lkj_mixture_model

    X, prior = _problem()
    imported = time.perf_counter()
    with lkj_mixture_model(X.values, 2, prior):
        built = time.perf_counter()
        pm.sample(**SETTINGS)
    done = time.perf_counter()
    return {"imports": imported - start, "whole": done - imported, "model": built - imported, "sample": done - built}


def _problem() -> tuple:
    import numpy as np

    import bayesgmm as bg

    X = bg.load_dataset("faithful")
    sd = np.asarray(X.values).std(axis=0)
    covariances = bg.priors.LKJ(2.0, sd=bg.priors.LogNormal(np.log(sd / 2), 0.7))
    return X, bg.Prior(covariances=covariances)


def child(way: str, caches: Path | None) -> dict[str, float]:
    """Run one way in a fresh process; with `caches`, compile into that folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if caches is not None:
        flags = f"base_compiledir={caches / 'pytensor'}"
        environment |= {"NUMBA_CACHE_DIR": str(caches / "numba"), "PYTENSOR_FLAGS": flags}
    command = [sys.executable, "-W", "ignore", __file__, "--child", way]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(name: str, found: dict[str, float]) -> None:
    """One line: imports, the whole, then the parts."""
    parts = ", ".join(f"{part} {value:.2f}" for part, value in found.items() if part not in ("imports", "whole"))
    print(f"{name:<30} {found['imports']:>9.1f} {found['whole']:>9.2f}   {parts}", flush=True)


def main() -> None:
    """Print cold runs, then alternating warm ones, then medians and their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", choices=WAYS)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--without-cold", action="store_true")
    parser.add_argument("--without-mixture", action="store_true")
    options = parser.parse_args()
    if options.child:
        print(json.dumps({"ours": ours, "same": same, "mixture": mixture}[options.child]()))
        return
    ways = [way for way in WAYS if not (options.without_mixture and way == "mixture")]
    print(f"{'seconds':<30} {'imports':>9} {'the call':>9}   of which")
    if not options.without_cold:
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                report(f"{WAYS[way]}, cold", child(way, Path(folder)))
    for way in ways:
        child(way, None)
    runs = [{way: child(way, None) for way in ways} for _ in range(options.pairs)]
    for way in ways:
        parts = runs[0][way]
        report(f"{WAYS[way]}, warm", {p: statistics.median(run[way].get(p, 0.0) for run in runs) for p in parts})
    for way in ways[1:]:
        ratio = statistics.median(run["ours"]["whole"] / run[way]["whole"] for run in runs)
        asked = f", asked at most {WANTED}" if way == "same" else ""
        print(f"sample_posterior / {WAYS[way]}: median of {options.pairs} pairs {ratio:.2f}{asked}")


if __name__ == "__main__":
    main()
