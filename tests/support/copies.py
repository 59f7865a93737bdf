"""Copies of the package that a test may edit, run in processes and with caches of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class PackageCopy:
    """A copy of the package in a folder; what it compiles stays in that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "bayesgmm", folder / "bayesgmm", ignore=shutil.ignore_patterns("*.nb[ic]"))

    def add(self, module: str, lines: str) -> None:
        """Write lines below a module: a function of the same name stands for the one above."""
        with (self.folder / "bayesgmm" / module).open("a", encoding="utf-8") as file:
            file.write(lines)

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a text that the module has once."""
        path = self.folder / "bayesgmm" / module
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{module} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, script: str) -> list[str]:
        """Run a script in a new process, which must end well; what it prints, by line."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTENSOR_FLAGS": f"base_compiledir={self.folder / 'pytensor'},cxx=",
            "NUMBA_CACHE_DIR": str(self.folder / "numba"),
        }
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout.splitlines()
