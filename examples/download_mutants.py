"""Sweeps the download of firmware with defects, at the real server: each must be found.

The defects are patches of firmware/mutants that break a download or its resumption. The Robot suites find
them by cuts that somebody thought of, this by a few cuts of the sweep. The firmware as it is must survive the
same cuts. Exit code 0: so it was; 1: it was not; 2: an error.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "robot" / "tests"))

from mutant_patches import MutantError, read_all
from mutant_runs import Workshop

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
OUTPUT: Final = ROOT / "build" / "download-mutants"
BASELINE: Final = "baseline"
DEFECTS: Final[Mapping[str, tuple[int, str]]] = {
    BASELINE: (16, ""),
    "resume-from-first-chunk": (4, r"hook: download_resumes: module \d was fetched again from chunk 0"),
    "progress-before-program": (4, r"loop: it has not arrived .*upgrade refused: bad digest"),
    # Only one operation matters: between the staged manifest and the first progress record.
    "progress-of-any-set": (16, r"loop: it has not arrived .*op=7/before"),
}
"""Names of patches; how many operations to cut; a regular expression for a finding."""
_TIMEOUT_S: Final = 600
_BIN: Final = Path(sys.executable).absolute().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one: `as_expected`, and a finding or what was said in its place."""

    name: str
    as_expected: bool
    detail: str


def sweep(name: str, firmware: Path, folder: Path) -> Verdict:
    """Sweep a build. It is put where the target file looks for builds. Raises MutantError."""
    example = folder / "examples" / "reference"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "reference", example, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(firmware, folder / "build" / "firmware")
    result = folder / "sweep.json"
    # A process of its own: the modules beside the hooks are imported once in a process.
    command = [
        str(_BIN / "brownout"),
        "sweep",
        str(example / "download.toml"),
        "--points",
        str(DEFECTS[name][0]),
    ]
    command += ["--phases", "before", "--json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode not in (0, 1):
        raise MutantError(f"{name}: the sweep ended with {done.returncode}: {done.stderr.strip()}")
    findings = [
        f"{finding['verdict']}: {finding['detail']} ({finding['replay']})"
        for finding in json.loads(result.read_text(encoding="utf-8"))["findings"]
    ]
    return judge(name, findings)


def judge(name: str, findings: list[str]) -> Verdict:
    """The firmware as it is has no finding, a defect has the one that belongs to it."""
    if name == BASELINE:
        return Verdict(name=name, as_expected=not findings, detail=findings[0] if findings else "nothing")
    wanted = next((finding for finding in findings if re.match(DEFECTS[name][1], finding)), None)
    said = wanted or (findings[0] if findings else "nothing")
    return Verdict(name=name, as_expected=wanted is not None, detail=said)


@click.command(help=__doc__)
@click.option(
    "--output",
    default=OUTPUT,
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder to build and sweep in.",
)
def main(output: Path) -> None:
    """Run the command line."""
    wrong = 0
    try:
        shop = Workshop(output)
        patches = {mutant.name: mutant for mutant in read_all()}
        for name in DEFECTS:
            started = time.monotonic()
            build = shop.build(name, patches.get(name))
            verdict = sweep(name, build.firmware, output / name / "tree")
            shop.forget(name)
            wrong += not verdict.as_expected
            how = "as expected" if verdict.as_expected else "WRONG"
            seconds = time.monotonic() - started
            click.echo(f"download-mutants: {name}: {how} in {seconds:.0f} s: found {verdict.detail}")
    except (MutantError, OSError, subprocess.SubprocessError) as error:
        click.echo(f"download-mutants: {error}", err=True)
        sys.exit(2)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
