"""A file is written whole or not at all. May import the standard library only."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary name in the same folder, renamed to `path` when the block ends without an error.

    Whoever looks at `path` sees the old file or the whole new one, also after a crash or Ctrl-C in mid-write. The
    temporary name keeps the ending, by which writers choose a format.
    """
    path = Path(path)
    # not `tempfile`: its files are readable by their owner alone, and would stay so under their final name
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
