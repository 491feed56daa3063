"""The JSON beside the report: the result as it is (docs/sweep.md)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.sweep.result import SweepResult


def render_json(result: SweepResult) -> str:
    """The whole result; keys are the fields of brownout.sweep.result.SweepResult, one point a line."""
    fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    lines = ",\n".join(f"{json.dumps(name)}: {_value(value)}" for name, value in fields.items())
    return f"{{\n{lines}\n}}\n"


def _value(value: object) -> str:
    """Lists of values have one entry a line, so that two results can be compared with diff."""
    if isinstance(value, list | tuple) and value and dataclasses.is_dataclass(value[0]):
        entries = ",\n".join(json.dumps(dataclasses.asdict(item)) for item in value)
        return f"[\n{entries}\n]"
    return json.dumps(_plain(value))


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
