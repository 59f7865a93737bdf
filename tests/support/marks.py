"""Parts of a document that a command writes: they stand between two marks, of which the first names the command."""

import re
from pathlib import Path

END = "<!-- end -->"


def begin(command: str) -> str:
    """Return the first mark of what a command writes."""
    return f"<!-- begin: {command} -->"


def between(text: str, command: str) -> str | None:
    """Return what stands between the marks of a command; None where it has none."""
    part = _find(text, command)
    return None if part is None else part[1].strip("\n")


def replace_between(path: Path, command: str, new: str) -> None:
    """Write anew what stands between the marks of a command.

    Raises
    ------
    LookupError
        When the document has no such marks.
    """
    text = path.read_text(encoding="utf-8")
    part = _find(text, command)
    if part is None:
        raise LookupError(f"{path} has no lines {begin(command)} and, after it, {END}: say there where it goes.")
    path.write_text(text[: part.start(1)] + f"\n\n{new}\n\n" + text[part.end(1) :], encoding="utf-8")


def _find(text: str, command: str) -> re.Match[str] | None:
    return re.search(f"{re.escape(begin(command))}(.*?){re.escape(END)}", text, re.DOTALL)
