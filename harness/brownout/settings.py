"""TOML files into frozen dataclasses, with errors that say which key of which file is wrong.

A schema is a dataclass whose fields are keys. Field types: ``int``, ``float``, ``str``, ``bool``,
``Literal``, another schema (a table), ``Mapping[str, X]`` (a table with free names), ``tuple[X, ...]`` (an
array), ``X | None``. A field without a default is a required key.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import tomli

from brownout.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_SCALARS: dict[type, str] = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def load_settings(path: Path, schema: type[T]) -> T:
    """Read the TOML file at `path` into `schema`.

    Raises SettingsError: file unreadable, TOML syntax, unknown key, missing key, value of a wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}): expected a TOML file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    return parse_settings(text, schema, source=str(path))


def parse_settings(text: str, schema: type[T], *, source: str) -> T:
    """Parse TOML `text` into `schema`; `source` names the text in errors. Raises SettingsError."""
    try:
        document: dict[str, object] = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise SettingsError(f"{source}: is not valid TOML: {error}") from error
    return _table(document, schema, _Place(source=source, keys=()))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in which file a value stands."""

    source: str
    keys: tuple[str, ...]

    def child(self, key: str) -> _Place:
        return _Place(source=self.source, keys=(*self.keys, key))

    def __str__(self) -> str:
        return f"{self.source}: {'.'.join(self.keys)}" if self.keys else self.source


def _table(value: object, schema: type[T], place: _Place) -> T:
    if not isinstance(value, dict):
        raise SettingsError(f"{place}: expected a table, found {_found(value)}")
    if not dataclasses.is_dataclass(schema):
        raise TypeError(f"{schema} is not a dataclass")
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    for key in value:
        if key not in fields:
            raise SettingsError(_unknown(key, list(fields), place))
    arguments: dict[str, object] = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = _value(value[name], hints[name], place.child(name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{place.child(name)}: missing; expected {_expected(hints[name])}")
    return schema(**arguments)


def _unknown(key: str, known: list[str], place: _Place) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"did you mean '{near[0]}'?" if near else "this table takes no keys"
    return f"{place.child(key)}: unknown key; {hint}"


def _value(value: object, hint: object, place: _Place) -> object:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        options = [argument for argument in arguments if argument is not type(None)]
        return _value(value, options[0], place)
    if origin is typing.Literal:
        if value not in arguments:
            raise SettingsError(f"{place}: expected {_expected(hint)}, found {_found(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{place}: expected an array, found {_found(value)}")
        return tuple(_value(item, arguments[0], place.child(str(index))) for index, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise SettingsError(f"{place}: expected a table, found {_found(value)}")
        return {key: _value(item, arguments[1], place.child(key)) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        table: object = _table(value, hint, place)
        return table
    return _scalar(value, hint, place)


def _scalar(value: object, hint: object, place: _Place) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is a subclass of int in Python, not in TOML.
    if not isinstance(hint, type) or type(value) is not hint:
        raise SettingsError(f"{place}: expected {_expected(hint)}, found {_found(value)}")
    return value


def _expected(hint: object) -> str:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _expected(typing.get_args(hint)[0])
    if origin is typing.Literal:
        return " or ".join(repr(option) for option in typing.get_args(hint))
    if origin is tuple:
        return "an array"
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint]
    return "a table"


def _found(value: object) -> str:
    kinds = {**_SCALARS, dict: "a table", list: "an array"}
    kind = kinds.get(type(value), f"a {type(value).__name__}")
    return kind if isinstance(value, dict | list) else f"{kind} ({value!r})"
