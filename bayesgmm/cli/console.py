"""How a run speaks: rich tables on a terminal, plain text in a pipe, nothing when quiet.

May import rich only; what is said comes from ``report``.
"""

import io
import sys
import textwrap
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bayesgmm.cli.report import Section

PLAIN_WIDTH = 100


class Screen:
    """Where a run is shown: findings on standard output, warnings on standard error.

    Parameters
    ----------
    quiet : bool
        Say nothing but warnings and errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._out = Console(quiet=quiet, markup=False, highlight=False, emoji=False)
        self._err = Console(stderr=True, markup=False, highlight=False, emoji=False)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # a name that this terminal cannot write must not end a run at its last line
                stream.reconfigure(errors="replace")
        self.live = self._err.is_terminal and not quiet
        """Whether somebody is watching, so that progress bars make sense."""

    def heading(self, text: str) -> None:
        """Start a part."""
        self._out.print()
        _print(self._out, text, style="bold")

    def say(self, text: str) -> None:
        """Say a sentence."""
        _print(self._out, text)

    def warn(self, text: str) -> None:
        """Say what a reader must know before trusting the numbers, also when quiet."""
        _print(self._err, f"Warning: {text}", style="yellow")

    def show(self, section: "Section") -> None:
        """Show a section: its heading, its table, its sentences."""
        self.heading(section.title)
        if section.table is not None:
            self._out.print(
                _rich_table(section) if self._out.is_terminal else plain_table(section),
                soft_wrap=not self._out.is_terminal,
            )
        for sentence in section.sentences:
            self.say(sentence)


def _print(console: Console, text: str, style: str | None = None) -> None:
    if console.is_terminal:
        console.print(text, style=style)
    else:
        lines = textwrap.wrap(text, PLAIN_WIDTH, break_long_words=False, break_on_hyphens=False)
        console.print("\n".join(lines), soft_wrap=True)


def plain_table(section: "Section") -> str:
    """Lay a table out with spaces and hyphens, nothing at the end of a line."""
    assert section.table is not None
    names = [str(name) for name in section.table.columns]
    rows = [[str(cell) for cell in row] for row in section.table.itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    aligned = [
        [_align(name, cell, width, section) for name, cell, width in zip(names, line, widths, strict=True)]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def _align(name: str, cell: str, width: int, section: "Section") -> str:
    return cell.ljust(width) if name in section.text_columns else cell.rjust(width)


def _rich_table(section: "Section") -> Table:
    assert section.table is not None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold cyan")
    for name in section.table.columns:
        text = name in section.text_columns
        table.add_column(str(name), justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row, emphasised in zip(section.table.itertuples(index=False), section.emphasis(), strict=True):
        table.add_row(*map(str, row), style="bold" if emphasised else None)
    return table
