"""What a pickle of a mixture holds: values of Python and NumPy alone, under names that outlive any move of a file."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bayesgmm.em.solver import Status
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters

KIND = "bayesgmm"
"""Key under which a dictionary says what it stands for."""

RECORDS: dict[str, type] = {record.__name__: record for record in (MixtureParameters, Noise, Background)}
STATUS = "Status"


def without_classes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Put dictionaries in the place of our own records; one and the same for a record that is held more than once."""
    made: dict[int, dict[str, Any]] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Status):
            return {KIND: STATUS, "name": value.name}
        if not isinstance(value, MixtureParameters | Noise | Background):
            return value
        if id(value) not in made:
            parts = {part.name: plain(getattr(value, part.name)) for part in fields(value)}
            made[id(value)] = {KIND: type(value).__name__, **parts}
        return made[id(value)]

    return {name: plain(value) for name, value in state.items()}


def with_classes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `without_classes`."""
    made: dict[int, Any] = {}

    def whole(value: Any) -> Any:
        if not isinstance(value, dict) or KIND not in value:
            return value
        if id(value) not in made:
            parts = {name: whole(part) for name, part in value.items() if name != KIND}
            record = value[KIND]
            made[id(value)] = Status[parts["name"]] if record == STATUS else RECORDS[record](**parts)
        return made[id(value)]

    return {name: whole(value) for name, value in state.items()}
