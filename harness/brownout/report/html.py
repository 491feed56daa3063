"""The report as one HTML file: style, script and data inside, nothing from outside."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jinja2
from markupsafe import Markup

from brownout.report.numbers import bytes_text, duration_text, ranges_text
from brownout.report.pack import pack
from brownout.report.verdicts import VerdictStyle, stopped_text, verdict_styles
from brownout.sweep.commands import replay_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.sweep.result import Finding, FindingGroup, SweepResult

FINDINGS_SHOWN: Final = 100
"""Findings of one group in the HTML; the JSON has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group of findings with its example first."""

    group: FindingGroup
    style: VerdictStyle
    example: Finding | None
    others: Sequence[Finding]
    left_out: int
    operations: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """A state of the upgrade protocol and how many cuts of each phase hit it."""

    state: str
    counts: Sequence[int]


def render_html(result: SweepResult, *, target_file: str, command: str = "", tool: str = "brownout") -> str:
    """The report.

    Args:
        result: what to show.
        target_file: the target file, as a command line names it.
        command: the command line that made it, so that it can be made again.
        tool: name and version of who made it.
    """
    styles = {style.name: style for style in verdict_styles(result)}
    phases = _coverage_phases(result)
    failed = sum(style.count for style in styles.values() if style.failure)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            result=result,
            command=command,
            tool=tool,
            target_file=target_file,
            styles=list(styles.values()),
            stopped="" if result.complete else stopped_text(result),
            failed=failed,
            passed=len(result.points) - failed,
            what="cuts and faults"
            if result.faults and result.phases
            else "faults"
            if result.faults
            else "cuts",
            cut_operations=len({point.operation for point in result.points}),
            fired=sum(depth.fired for depth in result.depths),
            requested=sum(depth.requested for depth in result.depths),
            groups=_groups(result, styles),
            phases=phases,
            coverage=_coverage(result, phases),
            missed=_missed(result, phases),
            boots=len({operation.boot for operation in result.operations}),
            sectors=", ".join(f"{count} x {bytes_text(size)}" for count, size in result.sector_sizes),
            data=Markup(_script_json(pack(result))),  # noqa: S704 - escaped for a script element by _script_json
            replay_command=lambda replay: replay_command(target_file, replay),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brownout.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=bytes_text, duration=duration_text, ranges=ranges_text)
    return environment


def _script_json(value: object) -> str:
    """JSON that may stand in a script element: no < and no line separators of JavaScript."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _groups(result: SweepResult, styles: Mapping[str, VerdictStyle]) -> list[GroupView]:
    members: dict[str, list[Finding]] = defaultdict(list)
    for finding in result.findings:
        members[finding.group].append(finding)
    views = []
    for group in sorted(result.groups, key=lambda group: (-group.count, group.id)):
        found = members[group.id]
        example = next(
            (finding for finding in found if finding.id == group.example), found[0] if found else None
        )
        others = [finding for finding in found if finding is not example]
        style = styles.get(group.verdict) or VerdictStyle(
            name=group.verdict, letter="?", css="hook", failure=True, meaning=group.verdict, count=0
        )
        views.append(
            GroupView(
                group=group,
                style=style,
                example=example,
                others=others[:FINDINGS_SHOWN],
                left_out=max(0, group.count - 1 - FINDINGS_SHOWN) if example is not None else group.count,
                operations=ranges_text(group.operations),
            )
        )
    return views


def _coverage_phases(result: SweepResult) -> list[str]:
    """Phases in the order in which they were asked for, then whatever else the table has."""
    wanted = dict.fromkeys((*result.phases, *result.faults))
    wanted.update(dict.fromkeys(phase for counts in result.coverage.values() for phase in counts))
    return list(wanted)


def _coverage(result: SweepResult, phases: Sequence[str]) -> list[CoverageRow]:
    return [
        CoverageRow(state=state or "(no name)", counts=[counts.get(phase, 0) for phase in phases])
        for state, counts in result.coverage.items()
    ]


def _missed(result: SweepResult, phases: Sequence[str]) -> int:
    return sum(not counts.get(phase, 0) for counts in result.coverage.values() for phase in phases)
