"""A table of a file -> the dataclass that it describes, or which key is wrong, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tempme.errors import BadSetting, UnknownName

Kind = TypeVar("Kind")

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def typed(kind: type[Kind], table: object, where: str) -> Kind:
    """The dataclass `kind` with the values of a table; errors: `values_of`."""
    return kind(**values_of(kind, table, where))


def values_of(kind: type[Any], table: object, where: str) -> dict[str, Any]:
    """The values of a table for the dataclass `kind`; `where` is what the table is called.

    Lists become tuples, keys that are numbers, which TOML and JSON have as strings, become numbers,
    and a table for a dataclass becomes one; nothing else changes. BadSetting for a value of another
    type or one that is missing, UnknownName for a key that `kind` does not have.
    """
    if not isinstance(table, Mapping):
        raise BadSetting(f"{where} is {table!r}; it is a table of settings")
    known, hints = [f.name for f in fields(kind)], get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise UnknownName.among(f"setting of {where}", str(name), known)
        values[name] = _value(hints[name], value, f"{where}.{name}")
    for one in fields(kind):
        is_needed = one.default is MISSING and one.default_factory is MISSING
        if is_needed and one.name not in values:
            raise BadSetting(f"{where}.{one.name} is missing; it has no default")
    return values


def _value(hint: Any, value: object, where: str) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return typed(hint, value, where)
    made = _as_python(value)
    try:
        TypeAdapter(hint, config=_STRICT).validate_python(made)
    except ValidationError as reason:
        wanted = dict.fromkeys(error["msg"] for error in reason.errors())
        said = " or ".join(wanted).replace("Input", "it").replace("Field", "one more is")
        raise BadSetting(f"{where} is {value!r}: {said}") from reason
    return made


def _as_python(value: object) -> object:
    if isinstance(value, Mapping):
        return {int(key) if str(key).isdecimal() else key: item for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
