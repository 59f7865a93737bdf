"""What comparing posteriors costs: K = 1 to 6 of the galaxy velocities, LOO and evidence, in units of bare sampling.

Caches warm (a first round is not timed). Everything from the rows to the table: EM, models, modes, sampling, LOO with
its refits, evidence. Bare sampling is the time NUTS itself took, of the same chains in the same run.
"""

import time
import warnings

import bayesgmm as bg
from bayesgmm import datatree
from bayesgmm.sampling import OtherModeWarning

COUNTS = range(1, 7)


def once(seed: int) -> dict[str, float]:
    """Seconds of each part."""
    X = bg.load_dataset("galaxies")
    start = time.perf_counter()
    posteriors = {f"K = {K}": bg.sample_posterior(X, K, random_seed=seed, progressbar=False) for K in COUNTS}
    sampled = time.perf_counter()
    found = bg.compare_posteriors(posteriors, evidence=False, random_seed=seed)
    left_out = time.perf_counter()
    bg.compare_posteriors(posteriors, refit=False, random_seed=seed)
    end = time.perf_counter()
    return {
        "bare sampling": sum(datatree.meta(dt)["seconds"]["nuts_sampling"] for dt in posteriors.values()),
        "posteriors": sampled - start,
        "LOO with refits": left_out - sampled,
        "evidence": end - left_out,
        "refits": float(found.table["n_refitted"].sum()),
    }


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", OtherModeWarning)
    once(0)
    print(f"{'part':>18} {'seconds':>9} {'x bare sampling':>16}")
    seconds = once(1)
    refits = seconds.pop("refits")
    total = sum(seconds[part] for part in ("posteriors", "LOO with refits", "evidence"))
    for part, spent in (seconds | {"all": total}).items():
        print(f"{part:>18} {spent:>9.2f} {spent / seconds['bare sampling']:>16.2f}")
    print(f"rows refitted for LOO: {refits:.0f}")


if __name__ == "__main__":
    main()
