"""Runs of pytest: the file of --junitxml. JUnit files of others are taken, too."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from brownout.results.ids import new_run_id
from brownout.results.importers.base import shown_path, unique_cases
from brownout.results.importers.kept import Kept, is_evidence, read_kept
from brownout.results.model import Case, Location, Result, Run, RunKind, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from brownout.results.importers.base import ImportOptions, ResultFile

_RANK: Final = {Result.PASS: 0, Result.SKIP: 1, Result.FAIL: 2}
_RAN_ON: Final = frozenset({"board", "engine", "engine_version"})


def import_junit(file: ResultFile, options: ImportOptions) -> Run:
    """A run of pytest. Raises ImportFileError: half written, or no tests in it."""
    try:
        root = ElementTree.fromstring(file.data)  # noqa: S314 - expat limits what entities grow to
    except ElementTree.ParseError as error:
        raise file.error(f"is no whole JUnit file ({error}): did the run come to its end?") from error
    suites = [root] if root.tag == "testsuite" else list(root.iter("testsuite"))
    tests = list(root.iter("testcase"))
    if not tests:
        raise file.error("has no tests")
    first = suites[0] if suites else root
    properties = {**_common([_properties(test) for test in tests]), **_properties(first)}
    duration = _seconds(root.get("time")) or sum(_seconds(suite.get("time")) or 0.0 for suite in suites[:1])
    started = _started(file, first.get("timestamp"), duration)
    seed = properties.get("seed", "")
    return Run(
        id=new_run_id(started),
        series=Series(
            project=options.project,
            kind=RunKind.PYTEST,
            name=first.get("name") or "pytest",
            board=options.board or properties.get("board", ""),
            engine=options.engine or properties.get("engine", ""),
        ),
        started=started,
        duration_s=duration,
        revision=options.revision,
        engine_version=properties.get("engine_version", ""),
        seed=options.seed if options.seed is not None else int(seed) if seed.isdecimal() else None,
        command=options.command,
        source=str(file.path),
        cases=unique_cases(_merged(_case(file, test) for test in tests)),
    )


def _common(tests: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """What all tests that say what they ran on say alike: the plugin says it with each test."""
    found: dict[str, set[str]] = {}
    for properties in tests:
        for name in _RAN_ON & properties.keys():
            found.setdefault(name, set()).add(properties[name])
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _merged(cases: Iterable[Case]) -> list[Case]:
    """A test whose teardown failed too is there twice: the worse result counts, messages are joined."""
    found: dict[str, Case] = {}
    for case in cases:
        known = found.get(case.name)
        if known is None:
            found[case.name] = case
            continue
        worse = max(known, case, key=lambda one: _RANK[one.result])
        message = "\n".join(one.message for one in (known, case) if one.message)
        found[case.name] = dataclasses.replace(worse, message=message)
    return list(found.values())


def _case(file: ResultFile, test: ElementTree.Element) -> Case:
    properties = _properties(test)
    names = [name for name in (test.get("classname"), test.get("name")) if name]
    result, message, detail = _outcome(test)
    kept = Kept()
    folder = properties.get("evidence")
    if result is Result.FAIL and folder:
        kept = _read_evidence(file, folder)
    module, node = _node(test)
    line = test.get("line", "")
    operations = properties.get("flash_operations", "")
    return Case(
        name=".".join(names) or "test",
        result=result,
        duration_s=_seconds(test.get("time")),
        message=message,
        detail="\n".join([*([detail] if detail else []), *kept.notes]),
        replay=kept.replay or properties.get("replay", ""),
        command=kept.command
        or properties.get("command", "")
        or (shlex.join(["pytest", node]) if node and result is Result.FAIL else ""),
        # pytest counts lines from 0.
        location=Location(file=module, line=int(line) + 1 if line.isdecimal() else 0) if module else None,
        flash_operations=int(operations) if operations.isdecimal() else kept.flash_operations,
        evidence=kept.items,
    )


def _outcome(test: ElementTree.Element) -> tuple[Result, str, str]:
    """Result, message, and the rest of what was said."""
    for tag, result in (("failure", Result.FAIL), ("error", Result.FAIL), ("skipped", Result.SKIP)):
        found = test.find(tag)
        if found is not None:
            return result, found.get("message") or "", (found.text or "").strip()
    return Result.PASS, "", ""


def _read_evidence(file: ResultFile, folder: str) -> Kept:
    """Evidence that the plugin named, relative to the current folder or to the file.

    A file of results may come from anybody, and what it names is put into reports: a folder must look like
    evidence.
    """
    for root in (Path.cwd(), file.path.absolute().parent):
        real = root / folder
        if real.is_dir() and is_evidence(real):
            return read_kept(real)
    return Kept(notes=(f"its evidence is not there: {folder}",))


def _node(test: ElementTree.Element) -> tuple[str, str]:
    """File of a test, and what pytest calls the test; "" when there is no such file."""
    parts = (test.get("classname") or "").split(".")
    named = test.get("file")
    for length in range(len(parts), 0, -1):
        path = Path(*parts[:length]).with_suffix(".py") if parts[0] else Path(named or ".")
        if path.is_file() or (named and Path(named) == path):
            return shown_path(path), "::".join([str(path), *parts[length:], test.get("name") or ""])
    return named or "", ""


def _properties(element: ElementTree.Element) -> Mapping[str, str]:
    found = {}
    for entry in element.iterfind("properties/property"):
        found[(entry.get("name") or "").lower()] = entry.get("value") or (entry.text or "")
    return found


def _seconds(text: str | None) -> float | None:
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _started(file: ResultFile, text: str | None, duration: float) -> datetime:
    try:
        # Without a zone it is the time of the machine.
        return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text or "")).astimezone()
    except ValueError:
        return file.ended(duration)
