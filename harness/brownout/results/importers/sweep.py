"""Sweeps: the JSON of `brownout sweep --json`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from brownout.results.ids import new_run_id
from brownout.results.importers.base import Fields, unique_cases
from brownout.results.importers.firmware import elf_files
from brownout.results.importers.kept import Kept, read_kept
from brownout.results.model import (
    Better,
    Case,
    CutOutcome,
    Figure,
    Location,
    Result,
    Run,
    RunKind,
    Series,
)
from brownout.results.revision import source_path
from brownout.symbols import Symbols

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.results.importers.base import ImportOptions, ResultFile

FORMAT: Final = "brownout-sweep"
_VERSION: Final = 1
WHOLE: Final = "sweep"
"""Name of the case that says whether the whole sweep is clean."""
_MOST_OPERATIONS: Final = 20


def import_sweep(file: ResultFile, options: ImportOptions, document: object) -> Run:
    """A sweep as a run. Raises ImportFileError: not of this version, or something is missing."""
    sweep = Fields(file, document)
    version = sweep.integer("version")
    if version != _VERSION:
        raise file.error(f"expected {FORMAT} version {_VERSION}, found {version}")
    duration = sweep.number("duration_s")
    started = file.ended(duration)
    target = sweep.text("target")
    cuts = [_cut(point) for point in sweep.objects("points")]
    operations = sweep.objects("operations")
    return Run(
        id=new_run_id(started),
        series=Series(
            project=options.project,
            kind=RunKind.SWEEP,
            name=target,
            board=options.board or sweep.text("board"),
            engine=options.engine or sweep.text("engine"),
        ),
        started=started,
        duration_s=duration,
        revision=options.revision,
        seed=sweep.integer("seed") if options.seed is None else options.seed,
        complete=sweep.flag("complete", True),
        command=options.command,
        source=str(file.path),
        cases=[_whole(sweep, len(operations)), *_groups(sweep, operations, options)],
        cuts=cuts,
        figures=_figures(sweep, len(operations)),
    )


def stable_name(title: str) -> str:
    """A group's title without what moves when firmware is built again: addresses, and offsets in functions.

    Fault status registers stay: they say what went wrong.
    """
    title = re.sub(r"(?<=[\w.])\+0x[0-9a-f]+", "", title)
    return re.sub(r"(?<!FSR )0x[0-9a-f]{8}\b", "0x...", title)


def _cut(point: Fields) -> CutOutcome:
    return CutOutcome(
        operation=point.integer("operation"),
        phase=point.text("phase"),
        variant=point.text("variant", ""),
        verdict=point.text("verdict"),
        finding=point.text("finding", ""),
    )


def _whole(sweep: Fields, operations: int) -> Case:
    findings = len(sweep.objects("findings"))
    different = [name for check in sweep.objects("live") for name in check.texts("different")]
    complete = sweep.flag("complete", True)
    said = []
    if findings:
        said.append(f"{findings} finding(s) in {len(sweep.objects('groups'))} group(s)")
    if different:
        said.append(f"{len(different)} live cut(s) left another flash than was derived: {different[0]}")
    if not complete:
        said.append(f"not complete ({sweep.text('stopped', '') or 'stopped'})")
    return Case(
        name=WHOLE,
        result=Result.FAIL if said else Result.PASS,
        duration_s=sweep.number("duration_s"),
        message="; ".join(said),
        detail="\n".join(sweep.texts("machine_log")),
        flash_operations=operations,
    )


def _groups(sweep: Fields, operations: Sequence[Fields], options: ImportOptions) -> list[Case]:
    """A case for each group of findings, by its first operation: names that are alike are numbered so."""
    findings = {finding.text("id"): finding for finding in sweep.objects("findings")}
    addresses = {operation.integer("number"): operation.integer("pc") for operation in operations}
    symbols = Symbols(elf_files(options.firmware))
    groups = sorted(
        sweep.objects("groups"), key=lambda group: (group.integers("operations"), group.text("id"))
    )
    cases = []
    for group in groups:
        finding = findings.get(group.text("example"))
        if finding is not None:
            cases.append(_group(group, finding, addresses, symbols, options))
    return unique_cases(cases)


def _group(
    group: Fields, finding: Fields, addresses: Mapping[int, int], symbols: Symbols, options: ImportOptions
) -> Case:
    numbers = group.integers("operations")
    more = ", ..." if len(numbers) > _MOST_OPERATIONS else ""
    hit = f"{group.integer('count')}x, at operation {', '.join(map(str, numbers[:_MOST_OPERATIONS]))}{more}"
    replay = finding.text("shrunk", "") or finding.text("replay")
    kept = Kept()
    if options.evidence is not None:
        kept = read_kept(options.evidence / group.text("id"))
    command = kept.command or shlex.join(
        ["brownout", "sweep", options.target or "target.toml", "--replay", replay]
    )
    places = [f"cut at {place}" for place in finding.texts("where")]
    if replay != finding.text("replay"):
        places.append(f"found with {finding.text('replay')}; the command does a smaller cut that fails alike")
    return Case(
        name=stable_name(group.text("title")),
        result=Result.FAIL,
        message=f"{group.text('verdict')}: {finding.text('detail')} ({hit})",
        detail="\n".join([*places, *finding.texts("trail"), *kept.notes]),
        tags=(group.text("verdict"),),
        replay=replay,
        command=command,
        location=_location(finding, addresses, symbols, options),
        flash_operations=kept.flash_operations,
        evidence=kept.items,
    )


def _location(
    finding: Fields, addresses: Mapping[int, int], symbols: Symbols, options: ImportOptions
) -> Location | None:
    """The code that the first cut hit: with firmware images that have debug information, file and line."""
    where, numbers = finding.texts("where"), finding.integers("operations")
    symbol = where[0].split(":", 1)[0].strip() if where and ":" in where[0] else ""
    line = symbols.line(addresses[numbers[0]]) if numbers and numbers[0] in addresses else ""
    if line:
        name, _, number = line.rpartition(":")
        path = source_path(options.sources, name) if options.sources is not None else ""
        return Location(file=path or name, line=int(number), symbol=symbol)
    return Location(file="", symbol=symbol) if symbol else None


def _figures(sweep: Fields, operations: int) -> list[Figure]:
    depths = sweep.objects("depths")
    total = {
        name: sum(depth.integer(name) for depth in depths) for name in ("requested", "distinct", "failed")
    }
    figures = [
        _figure("sweep.points", "cuts and faults requested", "points", total["requested"]),
        _figure("sweep.distinct", "recoveries that were run", "points", total["distinct"]),
        # No figure that should be lower: each group of what failed is a case.
        _figure("sweep.failed", "cuts and faults that failed", "points", total["failed"]),
        _figure("flash.operations", "flash operations without a cut", "op", operations),
        _figure(
            "sweep.clean-time",
            "virtual time without a cut",
            "halfwords",
            sweep.number("clean_time"),
            Better.LOWER,
        ),
        _figure(
            "sweep.duration", "the whole sweep", "s", sweep.number("duration_s"), Better.LOWER, noisy=True
        ),
        _figure(
            "sweep.rate",
            "points by the second",
            "points/s",
            sweep.number("points_per_s"),
            Better.HIGHER,
            noisy=True,
        ),
    ]
    for check in sweep.objects("live"):
        engine = check.text("engine")
        figures.append(
            _figure(
                f"sweep.live-{engine}",
                f"cuts with the same flash live on {engine}",
                "cuts",
                check.integer("same"),
            )
        )
    return figures


def _figure(
    name: str, title: str, unit: str, value: float, better: Better = Better.NEITHER, *, noisy: bool = False
) -> Figure:
    return Figure(name=name, title=title, unit=unit, value=value, better=better, noisy=noisy)
