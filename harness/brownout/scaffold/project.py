"""The files of a new project, and how they get into a folder."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jinja2

from brownout.errors import BrownoutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectBoard:
    """What a project needs to know of its board. Addresses are the processor's.

    `slot`, `update` and `request` are sectors of the flash: the app that runs, the one that waits, the word
    that asks for it. `live` says that an engine in real time runs the board.
    """

    title: str
    cpu: str
    ram_size: int
    slot: int
    update: int
    request: int
    live: bool


BOARDS: Final = {
    "mps2-an385": ProjectBoard(
        title="ARM MPS2 AN385 (Cortex-M3)",
        cpu="cortex-m3",
        ram_size=0xC000,
        slot=0x2102_0000,
        update=0x2112_0000,
        request=0x2100_1000,
        live=True,
    ),
    "nrf52840-dk": ProjectBoard(
        title="nRF52840 DK (Cortex-M4)",
        cpu="cortex-m4",
        ram_size=0x4_0000,
        slot=0x0001_0000,
        update=0x0002_0000,
        request=0x0003_0000,
        live=False,
    ),
}
_COMMON: Final = {
    "README.md": "README.md.jinja",
    "Makefile": "Makefile.jinja",
    "target.toml": "target.toml.jinja",
    "pytest.ini": "pytest.ini.jinja",
    ".gitignore": "gitignore.jinja",
    ".github/workflows/power-cuts.yml": "power-cuts.yml.jinja",
    "firmware/boot.c": "boot.c.jinja",
    "firmware/app.c": "app.c.jinja",
    "firmware/board.h": "board.h.jinja",
    "firmware/layout.h": "layout.h.jinja",
    "firmware/image.ld": "image.ld.jinja",
    "tests/power_cuts.robot": "power_cuts.robot.jinja",
    "tests/test_power_cuts.py": "test_power_cuts.py.jinja",
}


def project_files(board: str, name: str) -> dict[str, str]:
    """The files of a project by their path in it. Raises BrownoutError: a board without a project, a name."""
    if board not in BOARDS:
        raise BrownoutError(
            f"board '{board}': there is no starter project for it: expected one of {', '.join(BOARDS)}; "
            f"`brownout target init --board {board}` writes a target file for a bootloader of yours"
        )
    if not _NAME.fullmatch(name):
        raise BrownoutError(
            f"name '{name}': expected 1 to 40 letters, digits, dots, dashes or underscores, not first a dot: "
            "use --name"
        )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brownout.scaffold"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - C, TOML and Python, no HTML
    )
    templates = _COMMON | {"firmware/board.c": f"{board}.c.jinja"}
    return {
        path: environment.get_template(template).render(
            name=name, board_name=board, board=BOARDS[board], hexadecimal=_hexadecimal
        )
        for path, template in sorted(templates.items())
    }


def create_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files` into `folder`, which is made when it is missing. Nothing is overwritten, ever.

    Raises BrownoutError, and then nothing was written: a file is there already, the folder is none or
    cannot be written.
    """
    there = [path for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise BrownoutError(
            f"{folder / there[0]}{more}: is there already: give another folder; nothing was written"
        )
    made: list[Path] = []
    stage = folder / f".brownout-init.{secrets.token_hex(6)}"
    try:
        try:
            _make_folder(folder, made)
            stage.mkdir()
            for path, text in files.items():
                part = stage / path
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_text(text, encoding="utf-8")
            for path in files:
                _make_folder((folder / path).parent, made)
                # A hard link, because a rename would replace what somebody else has put there meanwhile.
                (folder / path).hardlink_to(stage / path)
                made.append(folder / path)
        except BaseException:
            _remove(made, keep=stage)
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if not any(path == folder / name for path in made for name in files):
                _remove(made, keep=stage)
    except OSError as error:
        raise BrownoutError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _make_folder(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        if folder.parent != folder:
            _make_folder(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _remove(made: list[Path], *, keep: Path) -> None:
    """Take back what was made, newest first."""
    shutil.rmtree(keep, ignore_errors=True)
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    made.clear()


def _hexadecimal(number: int) -> str:
    """As TOML has it: 0x2102_0000."""
    return f"0x{number >> 16:04x}_{number & 0xFFFF:04x}"
