"""Failures in source lines as SARIF 2.1.0, which code hosts show beside the code."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from brownout.regression.model import Change
from brownout.regression.notes import series_text, since_text
from brownout.regression.text import clipped, printable
from brownout.results.model import Result, RunKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.regression.model import CaseEntry, Document

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MESSAGE: Final = 1000
_RULES: Final[Mapping[RunKind, tuple[str, str]]] = {
    RunKind.SWEEP: ("power-cut", "The device does not survive a power cut"),
    RunKind.ROBOT: ("robot-test", "A Robot Framework test fails"),
    RunKind.PYTEST: ("pytest-test", "A pytest test fails"),
    RunKind.MUTANTS: ("mutant-survived", "A defect that was put in on purpose is not found"),
    RunKind.BENCH: ("figure", "A measurement failed"),
}
_LEVELS: Final = {Change.BROKE: "error", Change.FAILS_IN_NEW_SERIES: "error", Change.STILL_FAILING: "warning"}
_STATES: Final = {Change.BROKE: "new", Change.STILL_FAILING: "unchanged", Change.FAILS_IN_NEW_SERIES: "new"}


def render_sarif(document: Document) -> str:
    """Each failing case that has a place in sources; what has none is in the other formats only."""
    found = [case for case in document.cases if case.result is Result.FAIL and case.change is not None]
    placed = [case for case in found if case.location is not None and case.location.file]
    kinds = sorted({case.run.series.kind for case in placed}, key=list(RunKind).index)
    rules = [{"id": _RULES[kind][0], "shortDescription": {"text": _RULES[kind][1]}} for kind in kinds]
    name, _, version = document.tool.partition(" ")
    driver: dict[str, object] = {"name": name, "rules": rules}
    if version:
        driver["version"] = version
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(case, kinds.index(case.run.series.kind)) for case in placed],
            }
        ],
    }
    return json.dumps(log, indent=1) + "\n"


def _result(case: CaseEntry, rule: int) -> dict[str, object]:
    location = case.location
    if location is None or case.change is None:
        raise ValueError("a result needs a place")
    lines = [clipped(printable(case.message).strip() or case.name, _MESSAGE)]
    if case.since:
        lines.append(f"{printable(case.name)}: {since_text(case.since)}.")
    lines.append(f"{series_text(case.run.series)}.")
    if case.command or case.replay:
        lines.append(f"Replay: {printable(case.command or case.replay)}")
    physical: dict[str, object] = {"artifactLocation": {"uri": uri(location.file)}}
    if location.line > 0:
        physical["region"] = {"startLine": location.line}
    place: dict[str, object] = {"physicalLocation": physical}
    if location.symbol:
        place["logicalLocations"] = [{"name": printable(location.symbol), "kind": "function"}]
    return {
        "ruleId": _RULES[case.run.series.kind][0],
        "ruleIndex": rule,
        "level": _LEVELS.get(case.change, "error"),
        "baselineState": _STATES.get(case.change, "new"),
        "message": {"text": "\n".join(lines)},
        "locations": [place],
        "partialFingerprints": {"brownoutCase/v1": hashlib.sha256(case.anchor.encode()).hexdigest()},
    }


def uri(file: str) -> str:
    """A path as a URI reference: relative ones stay so, as code hosts want them."""
    path = PurePosixPath(file.replace("\\", "/"))
    text = quote(re.sub(r"^\./", "", path.as_posix()))
    return f"file://{text}" if path.is_absolute() else text
