"""Embedded data sets, each a labelled table with its units, its source and what is known of its classes."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
import xarray as xr


@dataclass(frozen=True, slots=True)
class _Description:
    """What the file of a data set does not say itself.

    Attributes
    ----------
    features : tuple of (column, name, unit)
        Column in the file, name and unit in the DataArray, in order.
    classes : tuple of (column, name)
        Columns that label rows, never used as data.
    errors : tuple of (column, name, unit)
        Columns with standard errors of the measurements.
    """

    title: str
    source: str
    licence: str
    features: tuple[tuple[str, str, str], ...]
    classes: tuple[tuple[str, str], ...] = ()
    errors: tuple[tuple[str, str, str], ...] = ()


_DESCRIPTIONS = {
    "faithful": _Description(
        title="Eruptions of the Old Faithful geyser, Yellowstone National Park",
        source="Härdle (1991), Smoothing Techniques with Implementation in S, Springer; a fuller version is in "
        "Azzalini and Bowman (1990), A look at some data on the Old Faithful geyser, Applied Statistics 39, 357-365. "
        "R: datasets::faithful.",
        licence="none stated; measurements published in the literature and distributed with R",
        features=(("eruptions", "eruptions", "min"), ("waiting", "waiting", "min")),
    ),
    "galaxies": _Description(
        title="Velocities of 82 galaxies in the Corona Borealis region",
        source="Roeder (1990), Density estimation with confidence sets exemplified by superclusters and voids in the "
        "galaxies, Journal of the American Statistical Association 85, 617-624; measured by Postman, Huchra and "
        "Geller (1986), Astronomical Journal 92, 1238-1247. R: MASS::galaxies, with its 78th value corrected.",
        licence="none stated; measurements published in the literature and distributed with R",
        features=(("velocity", "velocity", "1000 km/s"),),
    ),
    "iris": _Description(
        title="Sepals and petals of 50 flowers from each of three species of iris",
        source="Fisher (1936), The use of multiple measurements in taxonomic problems, Annals of Eugenics 7, 179-188; "
        "collected by Anderson (1935), The irises of the Gaspé Peninsula, Bulletin of the American Iris Society 59, "
        "2-5. R: datasets::iris.",
        licence="none stated; measurements published in the literature and distributed with R",
        features=(
            ("Sepal.Length", "sepal_length", "cm"),
            ("Sepal.Width", "sepal_width", "cm"),
            ("Petal.Length", "petal_length", "cm"),
            ("Petal.Width", "petal_width", "cm"),
        ),
        classes=(("Species", "species"),),
    ),
    "penguins": _Description(
        title="Size of 344 adult penguins of three species, Palmer Archipelago, Antarctica",
        source="Gorman, Williams and Fraser (2014), Ecological sexual dimorphism and environmental variability within "
        "a community of Antarctic penguins (genus Pygoscelis), PLoS ONE 9(3), e90081; as prepared by Horst, Hill and "
        "Gorman (2020), palmerpenguins, doi:10.5281/zenodo.3960218.",
        licence="CC0 1.0",
        features=(
            ("bill_length_mm", "bill_length", "mm"),
            ("bill_depth_mm", "bill_depth", "mm"),
            ("flipper_length_mm", "flipper_length", "mm"),
            ("body_mass_g", "body_mass", "g"),
        ),
        classes=(("species", "species"), ("island", "island"), ("sex", "sex"), ("year", "year")),
    ),
    "penguins_raw": _Description(
        title="Penguins of three species, with the isotopes in their blood, Palmer Archipelago, Antarctica",
        source="Gorman, Williams and Fraser (2014), Ecological sexual dimorphism and environmental variability within "
        "a community of Antarctic penguins (genus Pygoscelis), PLoS ONE 9(3), e90081; as prepared by Horst, Hill and "
        "Gorman (2020), palmerpenguins (table penguins_raw), doi:10.5281/zenodo.3960218.",
        licence="CC0 1.0",
        features=(
            ("Culmen Length (mm)", "bill_length", "mm"),
            ("Culmen Depth (mm)", "bill_depth", "mm"),
            ("Flipper Length (mm)", "flipper_length", "mm"),
            ("Body Mass (g)", "body_mass", "g"),
            ("Delta 15 N (o/oo)", "delta_15_n", "‰"),
            ("Delta 13 C (o/oo)", "delta_13_c", "‰"),
        ),
        classes=(("Species", "species"), ("Island", "island"), ("Sex", "sex"), ("Comments", "comment")),
    ),
    "pulsars": _Description(
        title="Masses of neutron stars, each with its error",
        source="Özel and Freire (2016), Masses, radii, and the equation of state of neutron stars, Annual Review of "
        "Astronomy and Astrophysics 54, 401-440, arXiv:1603.02698: the masses of their figure 2.",
        licence="none stated; measurements published in the literature",
        features=(("mass", "mass", "M☉"),),
        classes=(("name", "star"), ("kind", "kind")),
        errors=(("minus", "error_minus", "M☉"), ("plus", "error_plus", "M☉")),
    ),
}


def load_dataset(name: str) -> xr.DataArray:
    """Load one of the data sets that come with the package.

    Nothing is downloaded, and missing values are left in as NaN. Sources, licences and what was changed are in
    ``docs/data.md``.

    Parameters
    ----------
    name : {"faithful", "galaxies", "iris", "penguins", "penguins_raw", "pulsars"}
        ============ ===== ======================================================== =====================
        name         rows  features [unit]                                          of each row
        ============ ===== ======================================================== =====================
        faithful     272   eruptions, waiting [min]
        galaxies     82    velocity [1000 km/s]
        iris         150   sepal_length, sepal_width, petal_length, petal_width     species
                           [cm]
        penguins     344   bill_length, bill_depth, flipper_length [mm], body_mass  species, island, sex,
                           [g]; two rows are all missing                            year
        penguins_raw 344   the same, and delta_15_n, delta_13_c [‰], of which one   species, island, sex,
                           or both are missing in 12 more rows                      comment
        pulsars      68    mass [M☉]                                                star, kind,
                                                                                    error_minus, error_plus
        ============ ===== ======================================================== =====================

    Returns
    -------
    xarray.DataArray
        (N, D) float64 with dims ``obs_id`` (0 to N - 1) and ``feature``; coordinate ``unit`` along ``feature``; known
        classes as coordinates along ``obs_id``, an unknown one being ``""``, and standard errors too; attributes
        ``title``, ``source`` and ``licence``.

    Raises
    ------
    ValueError
        If there is no data set of that name.

    Examples
    --------
    >>> from bayesgmm.data.datasets import load_dataset
    >>> faithful = load_dataset("faithful")
    >>> faithful.mean("obs_id").round(3).values
    array([ 3.488, 70.897])
    >>> penguins = load_dataset("penguins")
    >>> penguins.sel(feature="body_mass").groupby("species").median().values
    array([3700., 3700., 5000.])
    >>> int(penguins.isnull().any("feature").sum())
    2
    """
    if name not in _DESCRIPTIONS:
        raise ValueError(f"`name` is {name!r}; the data sets are {', '.join(map(repr, _DESCRIPTIONS))}.")
    description = _DESCRIPTIONS[name]
    with (files("bayesgmm.data") / "embedded" / f"{name}.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    columns, features, units = (list(words) for words in zip(*description.features, strict=True))
    coords: dict[str, object] = {
        "obs_id": np.arange(len(table)),
        "feature": np.array(features),
        "unit": ("feature", np.array(units)),
    }
    coords |= {label: ("obs_id", _labels(table[column])) for column, label in description.classes}
    coords |= {error: ("obs_id", table[column].to_numpy(), {"units": u}) for column, error, u in description.errors}
    return xr.DataArray(
        table[columns].to_numpy(dtype=np.float64),
        dims=("obs_id", "feature"),
        coords=coords,
        name=name,
        attrs={"title": description.title, "source": description.source, "licence": description.licence},
    )


def _labels(column: pd.Series) -> np.ndarray:
    """Return classes as netCDF takes them: integers, or strings where "" is unknown."""
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy()
    return column.fillna("").to_numpy(dtype=str)
