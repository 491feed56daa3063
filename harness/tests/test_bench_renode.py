"""The benchmark's group `renode`: what it compares, and what it says without Renode."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from brownout.bench import FIGURES

TIMEOUT_S = 280


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from brownout.cli import main; main()",
            "bench",
            "--only",
            "renode",
            *arguments,
        ],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.emulator
def test_a_quick_run_has_the_same_cuts_on_three_engines(renode: str) -> None:
    run = bench("--quick", "--json", RENODE=renode)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert list(figures) == [figure.name for figure in FIGURES if figure.group == "renode"]
    assert document["skipped"] == {}
    rate = {engine: figures[f"renode.{engine}-rate"] for engine in ("renode", "qemu", "unicorn")}
    assert all(figure["value"] > 0 for figure in rate.values())
    assert {figure["note"] for figure in rate.values()} == {"2 cuts each time"}
    for other in ("qemu", "unicorn"):
        ratio = rate["renode"]["value"] / rate[other]["value"]
        assert figures[f"renode.by-{other}"]["value"] == pytest.approx(ratio, rel=1e-3)


def test_without_renode_a_line_says_why_it_is_skipped() -> None:
    run = bench("--quick", RENODE="/no-renode")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].startswith("renode: skipped: /no-renode: not found: install Renode")
    document = json.loads(bench("--quick", "--json", RENODE="/no-renode").stdout)
    assert document["figures"] == []
    assert document["skipped"]["renode"].startswith("/no-renode: not found")
