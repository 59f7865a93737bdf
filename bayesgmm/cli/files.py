"""Files that the commands write and read."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bayesgmm.data.formats import FileError
from bayesgmm.tools.atomic import replacing

if TYPE_CHECKING:
    import xarray as xr


def read_posterior(path: str | os.PathLike[str]) -> "xr.DataTree":
    """Read a posterior that `bayesgmm fit` wrote, wholly into memory.

    Raises
    ------
    FileError
        When the file is missing or is not netCDF.
    """
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise FileError(f"there is no file {path}: name the posterior.nc that `bayesgmm fit` wrote.")
    try:
        return xr.load_datatree(path)
    except (OSError, ValueError):
        raise FileError(f"{path} is not a netCDF file: name the posterior.nc of a fit.") from None


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, without its index, whole or not at all."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def prepare_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder where it is missing, and try to write in it.

    Raises
    ------
    FileError
        With the reason of the operating system.
    """
    path = Path(path)
    probe = path / f".bayesgmm-{secrets.token_hex(4)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except FileExistsError:
        raise FileError(f"cannot write results into {path}: it is a file; name a folder.") from None
    except OSError as error:
        raise FileError(f"cannot write results into {path}: {error.strerror or error}; name another folder.") from None
    return path


def prepare_file(path: str | os.PathLike[str]) -> Path:
    """Check that a file can be written: its folder is made and tried.

    Raises
    ------
    FileError
        When it is a folder, or its folder cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"cannot write the file {path}: it is a folder; name a file in it.")
    prepare_folder(path.parent)
    return path
