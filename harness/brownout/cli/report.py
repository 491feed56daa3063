"""`brownout report`: what broke since a baseline, since when, and how to do it again."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import click

from brownout.errors import BrownoutError
from brownout.regression.build import LAST, Wish, build_document
from brownout.regression.commits import Commits
from brownout.regression.locate import Locator
from brownout.regression.output import check_writable, render_all, render_json, write_report
from brownout.results.revision import resolve_revision
from brownout.results.store import ResultStore

EXIT_BROKE = 1


@click.command("report")
@click.option("--baseline", required=True, metavar="REF", help="Run id, git ref, branch, SHA, or 'previous'.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    metavar="DIR",
    help="Folder for the report.",
)
@click.option(
    "--store", metavar="URL", help="Store of results (default: $BROWNOUT_RESULTS, else .brownout/results.db)."
)
@click.option("--project", help="Runs of this project only.")
@click.option(
    "--last",
    type=click.IntRange(min=2, max=1000),
    default=LAST,
    show_default=True,
    help="Runs to look back at for flaky cases and noise.",
)
@click.option("--revision", metavar="REF", help="Report on the runs of this revision (default: the newest).")
@click.option("--run", "run_ids", multiple=True, metavar="ID", help="Report on this run; may be repeated.")
@click.option(
    "--elf",
    "elves",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="ELF file, or folder of them, to find source lines in; may be repeated (default: build).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def report_command(
    baseline: str,
    out: Path,
    store: str | None,
    project: str | None,
    last: int,
    revision: str | None,
    run_ids: tuple[str, ...],
    elves: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Say what broke since the baseline: index.html, report.md, junit.xml, findings.sarif, report.json.

    Of each series (kind, name, board and engine) the newest run is compared with the newest run at the
    baseline. Exit code: 0 nothing broke, 1 something did, 2 error.

    \b
    Examples:
      brownout report --baseline main --out report
      brownout report --baseline previous --out report --last 50
      brownout report --baseline v1.2.0 --revision HEAD --out report
      brownout report --baseline 20261124-001631042-7k3x9q --out report --json
    """
    if revision is not None and run_ids:
        raise BrownoutError("--revision, --run: expected one of the two")
    check_writable(out)
    here = Path.cwd()
    with ResultStore.open(store, create=False) as opened:
        document = build_document(
            opened,
            Wish(baseline=baseline, project=project, revision=revision, run_ids=run_ids, last=last),
            resolve=lambda ref: resolve_revision(here, ref),
            locate=Locator(elves or (here / "build",), here),
            commits=Commits(here),
            tool=f"brownout {importlib.metadata.version('brownout')}",
        )
    write_report(out, render_all(document))
    print(render_json(document) if as_json else f"{document.conclusion}\n{out / 'index.html'}")
    return EXIT_BROKE if document.broke else 0
