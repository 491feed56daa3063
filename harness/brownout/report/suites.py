"""Findings as Robot Framework suites: a test for each group that fails until the device survives."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from brownout.report.numbers import ranges_text
from brownout.report.verdicts import verdict_meaning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.sweep.result import Finding, FindingGroup, SweepResult

_SEPARATOR: Final = "    "
_WIDTH: Final = 60


def render_suites(result: SweepResult, *, target_file: Path, folder: Path) -> dict[str, str]:
    """File names and texts, one for each group of findings; `folder` is where they will be."""
    target = PurePath(os.path.relpath(target_file.absolute(), folder.absolute())).as_posix()
    findings = {finding.id: finding for finding in result.findings}
    suites: dict[str, str] = {}
    for group in result.groups:
        example = findings.get(group.example)
        if example is not None:
            name = _file_name(group, set(suites))
            suites[name] = "\n".join(_suite(result, group, example, target)) + "\n"
    return suites


def _suite(result: SweepResult, group: FindingGroup, example: Finding, target: str) -> Iterator[str]:
    yield "*** Settings ***"
    about = f"A finding of a sweep of {result.target} on {result.board}, seed {result.seed}."
    operations = ranges_text(group.operations)
    alike = f"{group.count} finding(s) alike" + (f", operations {operations}." if operations else ".")
    yield f"Documentation       {_cell(about)}"
    yield "...                 Written by brownout sweep --emit-robot; it fails until the device survives."
    yield "Library             brownout.robot.SweepLibrary"
    yield ""
    yield ""
    yield "*** Variables ***"
    yield f"${{TARGET}}{_SEPARATOR}${{CURDIR}}/{_cell(target)}"
    yield ""
    yield ""
    yield "*** Test Cases ***"
    yield _title(group)
    yield f"    [Documentation]    {_cell(f'{group.verdict}: {verdict_meaning(group.verdict)}.')}"
    yield f"    ...    {_cell(alike)}"
    yield f"    ...    {_cell(example.detail)}"
    yield f"    [Tags]    power-loss    {result.engine}"
    yield f"    Replay Should Recover    ${{TARGET}}    {_cell(example.shrunk or example.replay)}"


def _cell(text: str) -> str:
    """Text that Robot takes as it is, in one cell."""
    escaped = " ".join(text.split()).replace("\\", "\\\\")
    escaped = re.sub(r"([$@&%])(?=\{)", r"\\\1", escaped)
    return f"\\{escaped}" if escaped.startswith("#") else escaped


def _title(group: FindingGroup) -> str:
    title = re.sub(r"\s+", " ", group.title).strip() or group.id
    return _cell(title[:1].upper() + title[1:])


def _file_name(group: FindingGroup, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "_", group.title.lower()).strip("_")[:_WIDTH].rstrip("_") or "finding"
    name, number = f"{base}.robot", 2
    while name in taken:
        name, number = f"{base}_{number}.robot", number + 1
    return name
