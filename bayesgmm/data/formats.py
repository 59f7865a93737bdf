"""Formats of table files: CSV, Parquet and netCDF, each with its columns, their units and what it says of the rows.

May import pandas and the tables; pyarrow and xarray are imported where a file is theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayesgmm.data.tables import as_numbers, is_numbers_as_objects, read_table

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
MOST_NAMES_LISTED = 30


class FileError(ValueError):
    """A file or folder cannot be read or written; the message says which and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """What a file holds, before any column is chosen.

    Attributes
    ----------
    frame : DataFrame
        Every column there is; the index is the row number, from 0.
    units : dict
        Unit of a column, where the file tells.
    coordinates : tuple of str
        Columns that say something of the rows; data only when asked for by name.
    """

    frame: pd.DataFrame
    units: dict[str, str]
    coordinates: tuple[str, ...] = ()


def read_table_file(path: Path) -> TableFile:
    """Read every column of a file.

    Raises
    ------
    FileError
        When it is missing, empty, of a type that is not known, or broken.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder: name a file in it.")
    if not path.exists():
        raise FileError(f"there is no file {path}: check the name and the folder ({Path.cwd()}).")
    if path.stat().st_size == 0:
        raise FileError(f"{path} is empty (0 bytes): write the table again.")
    reader = _reader(path)
    try:
        table = reader(path)
    except FileError:
        raise
    except UnicodeDecodeError:
        raise FileError(f"{path} is not text in UTF-8: save it as CSV in UTF-8.") from None
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FileError(f"{path} could not be read as what its name says ({reason}): save the table again.") from None
    if table.frame.shape[1] == 0:
        raise FileError(f"{path} has no columns: write the table again.")
    if table.frame.empty:
        raise FileError(f"{path} names its columns ({listed(table.frame.columns)}) but has no rows: write them too.")
    return table


def _reader(path: Path) -> Callable[[Path], TableFile]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    readers = {
        **dict.fromkeys((".csv", ".tsv", ".txt"), _read_csv),
        **dict.fromkeys((".parquet", ".pq"), _read_parquet),
        **dict.fromkeys((".nc", ".nc4", ".netcdf", ".h5"), _read_netcdf),
    }
    if suffix not in readers:
        raise FileError(
            f"{path} does not say by its ending what it is (received {suffix!r}): "
            "use .csv or .tsv (text), .parquet or .nc (netCDF)."
        )
    return readers[suffix]


def _read_csv(path: Path) -> TableFile:
    head = list(pd.read_csv(path, nrows=0).columns)
    # tables from continental Europe are separated by semicolons
    separators = [mark for mark in ("\t", ";") if len(head) == 1 and mark in str(head[0])]
    frame = pd.read_csv(path, sep=separators[0] if separators else ",", skipinitialspace=True, low_memory=False)
    names = [str(name).strip() for name in frame.columns]
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        raise FileError(
            f"the lines of {path} have more fields than its first line has names ({listed(names)}): name every column."
        )
    if all(_is_number(name) for name in names):
        raise FileError(
            f"the first line of {path} holds numbers ({listed(names)}), so the columns have no names: "
            "put a line with one name for each column above them."
        )
    return TableFile(frame.set_axis(names, axis="columns"), {})


def _read_parquet(path: Path) -> TableFile:
    """Read Parquet; units are `units` or `unit` in the metadata of a field, or in pandas' ``attrs["units"]``."""
    import pyarrow.parquet as pq

    frame = pd.read_parquet(path)
    kept = frame.attrs.get("units", {})
    units = {str(name): str(unit) for name, unit in kept.items()} if isinstance(kept, Mapping) else {}
    for field in pq.read_schema(path):
        told = field.metadata or {}
        if (unit := told.get(b"units", told.get(b"unit"))) is not None:
            units[field.name] = unit.decode()
    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index(level=named) if named else frame
    frame = frame.reset_index(drop=True).set_axis([str(name) for name in frame.columns], axis="columns")
    decimals = {name: as_numbers(frame[name]) for name in frame if is_numbers_as_objects(frame[name])}
    return TableFile(frame.assign(**decimals), units, tuple(map(str, named)))


def _read_netcdf(path: Path) -> TableFile:
    import xarray as xr

    try:
        # durations are numbers with a unit here, not what xarray makes of `units: seconds`
        data = xr.load_dataset(path, decode_timedelta=False)
    except ValueError:
        # xarray's own message lists what one might install
        raise FileError(f"{path} is not a netCDF file: save the table again.") from None
    wide = [name for name, variable in data.data_vars.items() if variable.ndim == 2]
    long = [name for name, variable in data.data_vars.items() if variable.ndim == 1]
    rows = {data[name].dims[0] for name in long} | {data[name].dims[0] for name in wide}
    if len(rows) != 1 or len(wide) > 1 or len(wide) + len(long) < len(data.data_vars):
        named = ", ".join(f"{name} {variable.dims}" for name, variable in data.data_vars.items()) or "none"
        raise FileError(
            f"{path} holds no table of rows by features: expected one variable of two dimensions, or several of one "
            f"and the same dimension; found {named}."
        )
    (row,) = rows
    if wide:
        table = read_table(data[wide[0]])
        frame = pd.DataFrame(table.values, columns=list(table.names))
        units = dict(zip(table.names, table.units, strict=True))
    else:
        frame = pd.DataFrame({str(name): data[name].values for name in long})
        units = {str(name): str(data[name].attrs.get("units", "")) for name in long}
    # beside a table of two dimensions, what has one says something of its rows
    beside = [*data.coords, *(long if wide else [])]
    along = {str(n): data[n].values for n in beside if data[n].dims == (row,) and str(n) not in frame.columns}
    frame = pd.concat([frame, pd.DataFrame(along, index=frame.index)], axis="columns")
    return TableFile(frame, units, tuple(along))


def listed(names: Sequence[str] | pd.Index) -> str:
    """Name columns for a message, the first of many."""
    shown = ", ".join(str(name) for name in names[:MOST_NAMES_LISTED])
    more = len(names) - MOST_NAMES_LISTED
    return shown + (f" and {more} more" if more > 0 else "")


def _is_number(text: str) -> bool:
    # pandas writes the second "5.1" of a line as "5.1.1"
    for candidate in (text, text.rpartition(".")[0]):
        try:
            float(candidate)
        except ValueError:
            continue
        return True
    return False
