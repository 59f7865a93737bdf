"""Run the suite as other processors would: `make processors`, before a release.

The last bit of a sum depends on the order of its additions, and BLAS, NumPy and numba each choose theirs by the
processor they find. Here each is told of another one. The number of threads, and the examples that Hypothesis draws,
change with it, and all that was compiled before is out of reach.

`python -m tests.support.processors tests/kernel -x` runs a part, the arguments being pytest's; `--only=Haswell`, given
first, runs one processor.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from numpy._core._multiarray_umath import __cpu_features__
from threadpoolctl import threadpool_info

NUMPY_LEVELS = ("X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR")
"""What NumPy's loops may use, each level beside those before it; X86_V2 is its least."""


@dataclass(frozen=True)
class Processor:
    """What the libraries are told, and under which names OpenBLAS may report that it listened."""

    name: str
    numpy_levels: int  # the first so many of NUMPY_LEVELS
    numba_name: str
    threads: int
    reported: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """Levels that this processor would need and the machine has not."""
        return [level for level in NUMPY_LEVELS[: self.numpy_levels] if not __cpu_features__.get(level)]

    def environment(self, caches: str) -> dict[str, str]:
        """Tell each library what to do, and where to keep what it compiles."""
        off = [level for level in NUMPY_LEVELS[self.numpy_levels :] if __cpu_features__.get(level)]
        return own_environment(self.threads, caches) | {
            "OPENBLAS_CORETYPE": self.name,
            "NPY_DISABLE_CPU_FEATURES": " ".join(off),
            "NUMBA_CPU_NAME": self.numba_name,
            "NUMBA_CPU_FEATURES": "",  # those of the name; numba would add the machine's
        }


# OpenBLAS builds without kernels for Zen take Haswell's, and report so; Prescott's are its least, Katmai's too.
PROCESSORS = (
    Processor("SkylakeX", 2, "skylake-avx512", 1, ("SkylakeX",)),
    Processor("Haswell", 1, "haswell", 2, ("Haswell",)),
    Processor("Zen", 1, "znver3", 1, ("Zen", "Haswell")),
    Processor("Prescott", 0, "nehalem", 2, ("Prescott", "Katmai")),
)


def own_environment(threads: int, caches: str) -> dict[str, str]:
    """Leave the processor as it is."""
    return dict(os.environ) | {
        "OPENBLAS_NUM_THREADS": str(threads),
        "NUMBA_CACHE_DIR": f"{caches}/numba",
        "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor",
        "HYPOTHESIS_PROFILE": "varied",
    }


def kernels() -> set[str]:
    """Ask OpenBLAS, NumPy's copy and SciPy's, whose kernels it runs in this process."""
    import scipy.linalg  # noqa: F401 (it loads SciPy's)

    return {library["architecture"] for library in threadpool_info() if "architecture" in library}


def listened(environment: dict[str, str], processor: Processor) -> bool:
    """Tell whether every BLAS of a new process runs the kernels asked for."""
    ask = "from tests.support.processors import kernels; print(*kernels())"
    answer = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    return bool(answer.stdout.split()) and set(answer.stdout.split()) <= set(processor.reported)


def run(environment: dict[str, str], seed: int, arguments: list[str]) -> list[str]:
    """Run pytest, show what it says, and return the lines on what failed."""
    command = [sys.executable, "-m", "pytest", "-q", f"--hypothesis-seed={seed}", "-p", "no:cacheprovider", *arguments]
    failed = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith(("FAILED ", "ERROR ")):
                failed.append(line.strip())
    if process.returncode and not failed:
        failed.append(f"pytest ended with status {process.returncode}")
    return failed


def main(arguments: list[str]) -> int:
    """Run every setting, one after another; the status is 1 where any test failed."""
    only = None
    if arguments and arguments[0].startswith("--only="):
        only, arguments = arguments[0].removeprefix("--only="), arguments[1:]
    outcome: dict[str, list[str]] = {}
    for seed, processor in enumerate((None, *PROCESSORS)):
        name = processor.name if processor else "this one"
        if only not in (None, name):
            continue
        if processor and processor.missing:
            print(f"== {name}: not run, this machine has no {', '.join(processor.missing)}")
            continue
        with tempfile.TemporaryDirectory() as caches:
            environment = processor.environment(caches) if processor else own_environment(2, caches)
            print(f"== {name}: {environment['OPENBLAS_NUM_THREADS']} threads, Hypothesis seed {seed}", flush=True)
            if processor and not listened(environment, processor):
                outcome[name] = ["OpenBLAS did not take the kernels asked for by OPENBLAS_CORETYPE"]
            else:
                outcome[name] = run(environment, seed, arguments)
    print()
    for name, failed in outcome.items():
        print(f"{name}: {len(failed) or 'none'} failed", *failed, sep="\n  ")
    return int(any(outcome.values()) or not outcome)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
