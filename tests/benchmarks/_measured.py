"""Write the figures of docs/measured: run benchmarks, and put what each prints between its marks.

python -m tests.benchmarks._measured                      every benchmark that has marks there
python -m tests.benchmarks._measured em_iteration ...     these
"""

import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tests.support.marks import begin, replace_between

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "measured"
LIBRARIES = ("numpy", "scikit-learn", "pymc", "numba", "nutpie")


def commands() -> dict[str, Path]:
    """Each command that has marks, and the page that they are on."""
    pattern = re.escape(begin("COMMAND")).replace("COMMAND", r"(python [^>]*?)")
    return {
        command: page
        for page in sorted(PAGES.glob("*.md"))
        for command in re.findall(pattern, page.read_text(encoding="utf-8"))
    }


def processor() -> str:
    """Name the processor and count its cores."""
    names = [platform.processor()]
    if (lines := Path("/proc/cpuinfo")).exists():
        names = re.findall(r"^model name\s*:\s*(.*)$", lines.read_text(encoding="utf-8"), re.MULTILINE) or names
    return f"{names[0]}, {os.cpu_count()} cores"


def surroundings() -> str:
    """Say when and where a figure was taken."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{date.today().isoformat()}; {processor()}; Python {platform.python_version()}, {versions}."


def measure(command: str, page: Path) -> None:
    """Run a benchmark and write down what it prints.

    Raises
    ------
    subprocess.CalledProcessError
        When it fails: the page stays as it is.
    """
    words = command.split()
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    replace_between(page, command, f"```text\n{done.stdout.rstrip()}\n```\n\n{surroundings()}")


def main(names: list[str]) -> None:
    """Measure the benchmarks of these names, or all that have marks."""
    known = commands()
    chosen = {command: page for command, page in known.items() if not names or any(name in command for name in names)}
    if not chosen:
        sys.exit(
            f"no marks in {PAGES} name any of {', '.join(names)}; there are those of: {', '.join(known) or 'none'}."
        )
    for command, page in chosen.items():
        print(f"== {command} -> {page.relative_to(ROOT)}", flush=True)
        measure(command, page)


if __name__ == "__main__":
    main(sys.argv[1:])
