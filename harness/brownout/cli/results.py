"""`brownout results`: what runs found, recorded, listed and compared."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from brownout.cli.results_words import (
    compare_words,
    comparison_document,
    print_json,
    run_document,
    show_case,
    show_run,
    summary_columns,
    summary_document,
    summary_row,
    totals,
)
from brownout.cli.terminal import print_table
from brownout.errors import BrownoutError, EvidenceError, StoreError
from brownout.files import write_atomic
from brownout.results.compare import compare_runs
from brownout.results.importers import ImportOptions, import_file
from brownout.results.model import Revision, RunKind
from brownout.results.revision import current_revision, project_name, resolve_revision
from brownout.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.results.importers import Imported
    from brownout.results.model import Case, Run

EXIT_BROKE: Final = 1
_BRANCH_VARIABLES: Final = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
"""What CI calls the branch of a checkout that git calls detached."""
_SHA: Final = re.compile(r"[0-9a-fA-F]{7,64}")
_LIMIT: Final = 20

_store_option = click.option(
    "--store",
    metavar="URL",
    help="File, sqlite:///FILE or postgresql://USER@HOST/NAME (default: $BROWNOUT_RESULTS, else "
    ".brownout/results.db).",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("results")
def results_group() -> None:
    """Record what runs found, and look at it: Robot suites, sweeps, benches, mutants, pytest.

    \b
    Examples:
      brownout results import build/report/output.xml sweep.json --firmware build/firmware
      brownout results list --branch main
      brownout results show 7k3x9q
      brownout results compare 20261123-230808 7k3x9q
      brownout results prune --keep 100
    """


@results_group.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@_store_option
@click.option("--project", help="Name of the project (default: the git repository's).")
@click.option("--engine", help="What ran it, such as qemu (default: what the file says).")
@click.option("--board", help="What it ran on (default: what the file says).")
@click.option("--seed", type=int, help="Where everything random came from (default: what the file says).")
@click.option(
    "--firmware",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Image, or folder of .elf and .bin files, that was run; digests and sizes are recorded. Repeatable.",
)
@click.option(
    "--evidence",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder below which the run kept its evidence (default: evidence beside output.xml).",
)
@click.option("--target", metavar="FILE", help="Target file of a sweep, for the commands that replay a cut.")
@click.option("--command", metavar="TEXT", help="What was run, for who wants to run it again.")
@click.option("--revision", metavar="SHA", help="Commit that was run (default: the one checked out here).")
@click.option("--branch", help="Branch that was run (default: the one checked out here, or CI's).")
@_json_option
def import_command(
    files: tuple[Path, ...],
    store: str | None,
    project: str | None,
    engine: str | None,
    board: str | None,
    seed: int | None,
    firmware: tuple[Path, ...],
    evidence: Path | None,
    target: str | None,
    command: str | None,
    revision: str | None,
    branch: str | None,
    as_json: bool,
) -> None:
    """Record the runs that each FILE tells of.

    A FILE is output.xml of Robot Framework, JSON of `brownout sweep` or `brownout bench`, mutants.json, or
    JUnit XML of pytest; its content says which. All files are read before the first is recorded. A file that
    is recorded already is left alone.

    \b
    Examples:
      brownout results import build/report/output.xml
      brownout results import sweep.json --target target.toml --firmware build/boot.elf
      brownout results import bench.json --store postgresql://ci@db.example/results
      brownout results import output.xml --revision 3f2a9c1 --branch main
    """
    here = Path.cwd()
    options = ImportOptions(
        project=project or project_name(here),
        revision=_revision(here, revision, branch),
        engine=engine,
        board=board,
        seed=seed,
        firmware=firmware,
        evidence=evidence,
        target=target or "",
        command=command or "",
        sources=here,
    )
    imported = [(file, import_file(file, options)) for file in files]
    with ResultStore.open(store) as results:
        lines = [_record(results, file, one) for file, one in imported]
    if as_json:
        print_json(
            [
                {"file": str(file), "run": run_id, "recorded": new}
                for (file, _), (run_id, new, _) in zip(imported, lines, strict=True)
            ]
        )
        return
    for _, _, line in lines:
        click.echo(line)


def _record(results: ResultStore, file: Path, imported: Imported) -> tuple[str, bool, str]:
    """Id of the run, whether it is new, and a line about it."""
    run = imported.run
    known = results.imported(run.series.kind, imported.digest)
    if known is not None:
        return known, False, f"{file}: recorded already, as run {known}"
    results.add(run, digest=imported.digest)
    return run.id, True, f"{file}: run {run.id}: {totals(run)}"


def _revision(folder: Path, sha: str | None, branch: str | None) -> Revision:
    if sha is not None:
        commit = resolve_revision(folder, sha) or (sha.lower() if _SHA.fullmatch(sha) else None)
        if commit is None:
            raise BrownoutError(f"--revision: '{sha}': expected a commit of this repository, or its SHA-1")
        return Revision(commit=commit, branch=branch or "")
    found = current_revision(folder)
    named = (os.environ.get(name) for name in _BRANCH_VARIABLES) if found.commit else ()
    return Revision(
        commit=found.commit,
        branch=branch or found.branch or next((name for name in named if name), ""),
        dirty=found.dirty,
    )


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--limit", type=click.IntRange(min=1), help=f"So many at most (default: {_LIMIT})."),
        click.option("--branch", help="Only runs of this branch."),
        click.option("--commit", metavar="REF", help="Only runs of this commit: a SHA-1, a tag, a branch."),
        click.option("--engine", help="Only runs on this engine."),
        click.option("--board", help="Only runs on this board."),
        click.option("--name", help="Only runs of this suite or target."),
        click.option("--kind", type=click.Choice([kind.value for kind in RunKind]), help="Only such runs."),
        click.option("--project", help="Only runs of this project."),
    ):
        command = option(command)
    return command


@results_group.command("list")
@_filters
@_store_option
@_json_option
def list_command(
    project: str | None,
    kind: str | None,
    name: str | None,
    board: str | None,
    engine: str | None,
    commit: str | None,
    branch: str | None,
    limit: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Show the runs that are recorded, newest first.

    \b
    Examples:
      brownout results list
      brownout results list --kind sweep --branch main --limit 5
      brownout results list --commit v1.2.0 --json
    """
    with ResultStore.open(store, create=False) as results:
        found = results.runs(
            project=project,
            kind=RunKind(kind) if kind is not None else None,
            name=name,
            board=board,
            engine=engine,
            commit=(resolve_revision(Path.cwd(), commit) or commit) if commit is not None else None,
            branch=branch,
            limit=limit or _LIMIT,
        )
    if as_json:
        print_json([summary_document(run) for run in found])
    elif found:
        print_table(summary_columns(), [summary_row(run) for run in found], header=True)
    else:
        click.echo("no such runs")


@results_group.command("show")
@click.argument("run", metavar="RUN")
@click.option("--case", "case_name", metavar="NAME", help="One case in full: its name, or a part of it.")
@click.option(
    "--evidence", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the evidence to."
)
@_store_option
@_json_option
def show_command(
    run: str, case_name: str | None, evidence: Path | None, store: str | None, as_json: bool
) -> None:
    """Show the run RUN: its id, or the beginning or the end of it.

    \b
    Examples:
      brownout results show 7k3x9q
      brownout results show 7k3x9q --case "S2.7 Download Resumes" --evidence build/evidence
      brownout results show 20261124-0016 --json
    """
    with ResultStore.open(store, create=False) as results:
        found = results.load(run)
        kept = results.evidence_names(found.id)
        chosen = found.cases if case_name is None else [_case(found, case_name)]
        if evidence is not None:
            count = sum(
                _write_evidence(results, found, case, evidence) for case in chosen if case.name in kept
            )
    if as_json:
        document = run_document(found, kept)
        if case_name is not None:
            document = next(entry for entry in document["cases"] if entry["name"] == chosen[0].name)
        print_json(document)
    elif case_name is not None:
        show_case(chosen[0], kept.get(chosen[0].name, ()))
    else:
        show_run(found, kept)
    if evidence is not None:
        click.echo(f"{count} file(s) written to {evidence}", err=as_json)


def _case(run: Run, name: str) -> Case:
    exact = [case for case in run.cases if case.name == name]
    part = [case for case in run.cases if name.lower() in case.name.lower()]
    found = exact or part
    if len(found) == 1:
        return found[0]
    if not found:
        raise StoreError(f"run {run.id}: has no case '{name}'")
    names = ", ".join(f"'{case.name}'" for case in found[:3])
    raise StoreError(f"run {run.id}: '{name}' fits {len(found)} cases: {names}: give more of the name")


def _write_evidence(results: ResultStore, run: Run, case: Case, folder: Path) -> int:
    """Write what was kept of a case to a folder of its own; returns how many files."""
    place = folder / (re.sub(r'[\x00-\x1f"*/:<>?\\|]', "_", case.name).strip(". ")[:200] or "_")
    items = results.evidence(run.id, case.name)
    for item in items:
        path = place / item.path
        if not path.resolve().is_relative_to(place.resolve()):
            raise EvidenceError(f"run {run.id}: evidence '{item.path}' is not below its folder")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvidenceError(f"{path.parent}: cannot be made ({error.strerror})") from error
        write_atomic(path, item.data)
    return len(items)


@results_group.command("compare")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@_store_option
@_json_option
def compare_command(old: str, new: str, store: str | None, as_json: bool) -> int:
    """Compare the run A with the later run B: what broke, what was fixed, what came and went, and figures.

    Exit code: 0 nothing broke, 1 something did, 2 error.

    \b
    Examples:
      brownout results compare 20261123-183618 7k3x9q
      brownout results compare 4r2f9c 1n819f --json
    """
    with ResultStore.open(store, create=False) as results:
        comparison = compare_runs(results.load(old), results.load(new))
    if as_json:
        print_json(comparison_document(comparison))
    else:
        compare_words(comparison)
    return EXIT_BROKE if comparison.broke else 0


@results_group.command("prune")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the newest N of each series.")
@click.option(
    "--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what began longer ago."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@_store_option
@_json_option
def prune_command(
    keep: int | None, older_than: float | None, dry_run: bool, store: str | None, as_json: bool
) -> None:
    """Remove old runs, and evidence that no other run has.

    A series is the runs of one suite, target or bench of a project, on one board and engine. With both
    options a run goes when both say so.

    \b
    Examples:
      brownout results prune --keep 100
      brownout results prune --older-than 90 --keep 20 --dry-run
    """
    if keep is None and older_than is None:
        raise click.UsageError("expected --keep N or --older-than DAYS")
    before = None if older_than is None else _days_ago(older_than)
    with ResultStore.open(store, create=False) as results:
        gone = results.prune(keep=keep, older_than=before, dry_run=dry_run)
    if as_json:
        print_json({"removed": not dry_run, "runs": [run.id for run in gone]})
        return
    _print_gone(gone, dry_run=dry_run)


def _days_ago(days: float) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(days=days)
    except OverflowError as error:
        raise click.BadParameter(
            f"'{days:g}': more days than there were", param_hint="--older-than"
        ) from error


def _print_gone(gone: Sequence[object], *, dry_run: bool) -> None:
    click.echo(f"{len(gone)} run(s) {'would be ' if dry_run else ''}removed")
