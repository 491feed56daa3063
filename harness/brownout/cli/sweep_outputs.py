"""What `brownout sweep` writes: JSON, report, Robot tests, evidence of its findings."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.cli.sweep_progress import SweepProgress
from brownout.files import make_parent, write_atomic
from brownout.live.kept import keep_findings
from brownout.report import render_html, render_json, render_suites

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.sweep.result import SweepResult
    from brownout.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOutputs:
    """Where to write what; None for what nobody wants. `json` and `html` are files, the others folders."""

    json: Path | None
    html: Path | None
    robot: Path | None
    evidence: Path | None

    def prepare(self) -> None:
        """Fail before the sweep, not after it, when a place cannot be had. Raises BrownoutError."""
        for file in (self.json, self.html):
            if file is not None:
                make_parent(file)
        for folder in (self.robot, self.evidence):
            if folder is not None:
                make_parent(folder / "any")

    def write(self, result: SweepResult, target: Target, file: Path) -> None:
        """Write all of it; `file` is the target file as the command line names it. Raises BrownoutError."""
        if self.json is not None:
            write_atomic(self.json, render_json(result).encode())
        if self.html is not None:
            version = importlib.metadata.version("brownout")
            command = shlex.join(["brownout", *sys.argv[1:]])
            page = render_html(result, target_file=str(file), command=command, tool=f"brownout {version}")
            write_atomic(self.html, page.encode())
        if self.robot is not None:
            for name, text in render_suites(result, target_file=file, folder=self.robot).items():
                write_atomic(self.robot / name, text.encode())
        if self.evidence is not None and result.findings:
            with SweepProgress("evidence") as progress:
                keep_findings(
                    target,
                    result,
                    self.evidence,
                    file=str(file),
                    told=lambda done, total: progress(done, total, 0.0),
                )
