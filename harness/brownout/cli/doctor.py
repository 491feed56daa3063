"""`brownout doctor`: what is here, what works, what to do."""

from __future__ import annotations

import concurrent.futures
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

import brownout
from brownout.board import list_boards, load_board
from brownout.cli.doctor_trial import try_engine
from brownout.cli.options import json_option
from brownout.cli.terminal import print_table
from brownout.engines.factory import TITLES
from brownout.engines.version import engine_version
from brownout.errors import BrownoutError
from brownout.results.store import DEFAULT_STORE, STORE_VARIABLE, ResultStore

EXIT_NO_ENGINE: Final = 1
WORKS, FOUND, MISSING, FAILS = "works", "found", "missing", "fails"
_STYLES: Final = {WORKS: "green", FOUND: "green", MISSING: "yellow", FAILS: "bold red"}
_VERSION_S: Final = 10.0
_STORE_S: Final = 10.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_ENGINES: Final = {
    "qemu": "apt install qemu-system-arm (or set BROWNOUT_QEMU): for whole firmware and debugging",
    "renode": "put Renode's portable release on PATH (or set RENODE): for a second opinion, docs/renode.md",
    "unicorn": "pip install unicorn: for sweeps",
}
_TOOLS: Final = (
    (
        "arm-none-eabi-gcc",
        ("arm-none-eabi-gcc",),
        "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
        "to build firmware",
    ),
    (
        "GDB",
        ("gdb-multiarch", "arm-none-eabi-gdb"),
        "apt install gdb-multiarch",
        "for fieldlink debug --gdb",
    ),
    (
        "Chromium",
        ("chromium", "chromium-browser", "google-chrome"),
        "apt install chromium",
        "for the tests of the HTML report only",
    ),
)
"""Name, programs of which one will do, how to install it, what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the diagnosis. `advice` says what to do; "" when nothing needs to be done."""

    name: str
    kind: str
    state: str
    version: str = ""
    detail: str = ""
    advice: str = ""
    boards: tuple[str, ...] = ()


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> int:
    """Say what is installed, which engine works, and what to do about what is missing.

    Each engine that is here is tried: a small program is started on it, loses its power in a flash operation
    and recovers. Exit code 0 when at least one engine works, 1 when none does.

    \b
    Examples:
      brownout doctor
      brownout doctor --json
    """
    checks = diagnose()
    well = any(check.kind == "engine" and check.state == WORKS for check in checks)
    if as_json:
        print(json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _tell(checks, well)
    return 0 if well else EXIT_NO_ENGINE


def diagnose() -> tuple[Check, ...]:
    """All checks, the slow ones side by side; each has a deadline of its own."""
    serves = _boards()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        engines = [pool.submit(_engine, name, serves[name]) for name in _ENGINES]
        tools = [pool.submit(_tool, *tool) for tool in _TOOLS]
        return (*_ourselves(), *(item.result() for item in (*engines, *tools)), _store())


def _tell(checks: tuple[Check, ...], well: bool) -> None:
    rows = [(check.name, check.version, check.state, check.detail) for check in checks]
    print_table(("what", "version", "state", ""), rows, styles=_STYLES)
    advice = [check for check in checks if check.advice]
    if advice:
        print("\nTo do, if you need it:")
    for check in advice:
        print(f"  {check.name}: {check.advice}")
    print("\nReady: brownout init my-device" if well else "\nNo engine works: nothing can be cut here yet.")


def _ourselves() -> tuple[Check, Check]:
    return (
        Check(
            name="Python",
            kind="program",
            state=FOUND,
            version=platform.python_version(),
            detail=sys.executable,
        ),
        Check(
            name="brownout",
            kind="program",
            state=FOUND,
            version=importlib.metadata.version("brownout"),
            detail=str(Path(brownout.__file__).parent),
        ),
    )


def _boards() -> dict[str, tuple[str, ...]]:
    """Boards that each engine serves."""
    boards = [load_board(name) for name in list_boards()]
    return {
        engine: tuple(board.name for board in boards if engine in board.engine.names) for engine in _ENGINES
    }


def _engine(name: str, boards: tuple[str, ...]) -> Check:
    title, version = TITLES[name], engine_version(name)
    if not version:
        return Check(name=title, kind="engine", state=MISSING, advice=_ENGINES[name], boards=boards)
    trial = try_engine(name)
    if trial.problem:
        return Check(
            name=title,
            kind="engine",
            state=FAILS,
            version=version,
            detail=trial.problem,
            advice=f"the error is above; to install it: {_ENGINES[name]}",
            boards=boards,
        )
    detail = f"cut and recovered in {trial.seconds:.1f} s; runs {', '.join(boards)}"
    return Check(name=title, kind="engine", state=WORKS, version=version, detail=detail, boards=boards)


def _tool(name: str, programs: tuple[str, ...], install: str, purpose: str) -> Check:
    path = next(filter(None, map(shutil.which, programs)), None)
    if path is None:
        return Check(name=name, kind="tool", state=MISSING, detail=purpose, advice=f"{install}: {purpose}")
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name=name, kind="tool", state=FAILS, detail=f"{path} --version: {error}", advice=install)
    found = _VERSION.search(said)
    return Check(name=name, kind="tool", state=FOUND, version="" if found is None else found[0], detail=path)


def _store() -> Check:
    """The store that `brownout results` would take: it is read, not made."""
    wanted = os.environ.get(STORE_VARIABLE)
    if not wanted and not Path(DEFAULT_STORE).exists():
        detail = f"{DEFAULT_STORE}: not made yet; the first run that is recorded makes it"
        return Check(name="result store", kind="store", state=MISSING, detail=detail)
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        runs = pool.submit(_count_runs).result(timeout=_STORE_S)
    except TimeoutError:
        problem = f"no answer within {_STORE_S:g} s"
    except BrownoutError as error:
        problem = str(error)
    else:
        detail = (
            f"{wanted or DEFAULT_STORE}: {runs} run(s) recorded"
            if runs
            else f"{wanted or DEFAULT_STORE}: empty"
        )
        return Check(name="result store", kind="store", state=WORKS, detail=detail)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    advice = f"set {STORE_VARIABLE} to a file or a database that can be reached"
    return Check(name="result store", kind="store", state=FAILS, detail=problem, advice=advice)


def _count_runs() -> int:
    with ResultStore.open(create=False) as store:
        return len(store.runs())
