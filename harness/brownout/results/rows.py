"""Values of the model as rows of the tables, and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from brownout.results.model import (
    Better,
    Case,
    CutOutcome,
    EvidenceItem,
    Figure,
    FirmwareImage,
    Location,
    Result,
    Revision,
    Run,
    RunKind,
    RunSummary,
    Series,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    Values = Mapping[str, object]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(when: datetime) -> int:
    """Since 1970, exactly."""
    return (when - _EPOCH) // _MICROSECOND


def clean(text: str) -> str:
    """`text` as every database can hold it: without NUL (PostgreSQL) and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def run_values(run: Run, digest: str) -> Values:
    """Row of a run."""
    results = [case.result for case in run.cases]
    return {
        "id": run.id,
        **series_values(run.series),
        "started_us": microseconds(run.started),
        "duration_s": run.duration_s,
        "commit_sha": run.revision.commit,
        "branch": clean(run.revision.branch),
        "dirty": run.revision.dirty,
        "engine_version": clean(run.engine_version),
        "seed": None if run.seed is None else str(run.seed),
        "complete": run.complete,
        "command": clean(run.command),
        "source": clean(run.source),
        "digest": digest or None,
        "passed": results.count(Result.PASS),
        "failed": results.count(Result.FAIL),
        "skipped": results.count(Result.SKIP),
        "cuts": len(run.cuts),
        "figures": len(run.figures),
    }


def series_values(series: Series) -> Values:
    """Columns that say which series a run belongs to."""
    return {
        "project": clean(series.project),
        "kind": series.kind.value,
        "name": clean(series.name),
        "board": clean(series.board),
        "engine": clean(series.engine),
    }


def case_values(case: Case) -> Values:
    """Row of a case, without where it belongs."""
    place = case.location
    return {
        "name": clean(case.name),
        "result": case.result.value,
        "duration_s": case.duration_s,
        "message": clean(case.message),
        "detail": clean(case.detail),
        "tags": json.dumps([clean(tag) for tag in case.tags]),
        "replay": clean(case.replay),
        "command": clean(case.command),
        "file": None if place is None else clean(place.file),
        "line": None if place is None else place.line,
        "symbol": None if place is None else clean(place.symbol),
        "flash_operations": case.flash_operations,
    }


def figure_values(figure: Figure) -> Values:
    """Row of a figure, without where it belongs."""
    return {
        "name": clean(figure.name),
        "title": clean(figure.title),
        "unit": clean(figure.unit),
        "value": figure.value,
        "better": figure.better.value,
        "noisy": figure.noisy,
        "samples": json.dumps(list(figure.samples)),
    }


def firmware_values(image: FirmwareImage) -> Values:
    """Row of an image, without where it belongs."""
    return {
        "name": clean(image.name),
        "sha256": image.sha256,
        "size": image.size,
        "sections": json.dumps({clean(name): size for name, size in image.sections.items()}),
    }


def cut_values(cut: CutOutcome) -> Values:
    """Row of a cut, without where it belongs."""
    return {
        "operation": cut.operation,
        "phase": clean(cut.phase),
        "variant": clean(cut.variant),
        "verdict": clean(cut.verdict),
        "finding": clean(cut.finding),
    }


def summary_of(row: sa.RowMapping) -> RunSummary:
    """A run without what it found."""
    return RunSummary(
        id=row["id"],
        series=_series_of(row),
        started=_when(row),
        duration_s=row["duration_s"],
        revision=_revision_of(row),
        complete=row["complete"],
        passed=row["passed"],
        failed=row["failed"],
        skipped=row["skipped"],
        cuts=row["cuts"],
        figures=row["figures"],
    )


def run_of(
    row: sa.RowMapping,
    *,
    firmware: Sequence[FirmwareImage],
    cases: Sequence[Case],
    cuts: Sequence[CutOutcome],
    figures: Sequence[Figure],
) -> Run:
    """A run with what it found."""
    return Run(
        id=row["id"],
        series=_series_of(row),
        started=_when(row),
        duration_s=row["duration_s"],
        revision=_revision_of(row),
        engine_version=row["engine_version"],
        seed=None if row["seed"] is None else int(row["seed"]),
        firmware=firmware,
        complete=row["complete"],
        command=row["command"],
        source=row["source"],
        cases=cases,
        cuts=cuts,
        figures=figures,
    )


def case_of(row: sa.RowMapping, evidence: Sequence[EvidenceItem]) -> Case:
    """A case."""
    place = None
    if row["file"] is not None:
        place = Location(file=row["file"], line=row["line"] or 0, symbol=row["symbol"] or "")
    return Case(
        name=row["name"],
        result=Result(row["result"]),
        duration_s=row["duration_s"],
        message=row["message"],
        detail=row["detail"],
        tags=tuple(json.loads(row["tags"])),
        replay=row["replay"],
        command=row["command"],
        location=place,
        flash_operations=row["flash_operations"],
        evidence=evidence,
    )


def figure_of(row: sa.RowMapping) -> Figure:
    """A figure."""
    return Figure(
        name=row["name"],
        title=row["title"],
        unit=row["unit"],
        value=row["value"],
        better=Better(row["better"]),
        noisy=row["noisy"],
        samples=tuple(json.loads(row["samples"])),
    )


def image_of(row: sa.RowMapping) -> FirmwareImage:
    """An image."""
    return FirmwareImage(
        name=row["name"], sha256=row["sha256"], size=row["size"], sections=json.loads(row["sections"])
    )


def cut_of(row: sa.RowMapping) -> CutOutcome:
    """A cut."""
    return CutOutcome(
        operation=row["operation"],
        phase=row["phase"],
        variant=row["variant"],
        verdict=row["verdict"],
        finding=row["finding"],
    )


def _series_of(row: sa.RowMapping) -> Series:
    return Series(
        project=row["project"],
        kind=RunKind(row["kind"]),
        name=row["name"],
        board=row["board"],
        engine=row["engine"],
    )


def _revision_of(row: sa.RowMapping) -> Revision:
    return Revision(commit=row["commit_sha"], branch=row["branch"], dirty=row["dirty"])


def _when(row: sa.RowMapping) -> datetime:
    return _EPOCH + int(row["started_us"]) * _MICROSECOND
