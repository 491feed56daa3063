"""What a test asks for: command line, ini file and markers, checked by name and type.

Of a marker, the closest to the test wins key by key; then the command line, then the ini file.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENGINES: Final = ("unicorn", "qemu", "renode")
"""As brownout.live.runners.RUNNERS, which takes long to import."""
MARKER: Final = "brownout"
CUT_MARKER: Final = "power_cut"
SWEEP_MARKER: Final = "power_cut_sweep"
MARKERS: Final = {
    f"{MARKER}(target=, board=, boot=, flash=, engine=, seed=, firmware=, check=)": (
        "what the fixtures board, device, server and debug_session of this test are"
    ),
    f"{CUT_MARKER}(cut, ...)": (
        "arm these power cuts on the device, one at each power-on; the test fails when one does not fire"
    ),
    f"{SWEEP_MARKER}(target=, points=, phases=, torn=, operations=, engine=, seed=)": (
        "make the test once for each power cut of a target's upgrade; it takes `power_cut`"
    ),
}
INI: Final = {
    "brownout_target": "target file of the tests, relative to this file",
    "brownout_board": "board of the tests without a target",
    "brownout_engine": f"one of {', '.join(ENGINES)}",
    "brownout_seed": "where everything random comes from",
    "brownout_artifacts": "folder for the evidence of failed tests (default: brownout-artifacts)",
    "brownout_firmware": "folder of the reference firmware's builds, for `server` (default: build/firmware)",
}
_DEFAULT_ARTIFACTS: Final = "brownout-artifacts"
_PHASES: Final = ("before", "torn", "after")
_TORN: Final = ("default", "all")


class SweepOptions(TypedDict, total=False):
    """Options of power_cut_sweep (docs/pytest.md)."""

    target: str | os.PathLike[str]
    points: int | None
    phases: str | Sequence[str]
    torn: str
    operations: Sequence[int | tuple[int, int | None]]
    engine: str
    seed: int


class MarkerOptions(TypedDict, total=False):
    """Options of the marker `brownout` (docs/pytest.md)."""

    target: str | os.PathLike[str]
    board: str
    boot: str | os.PathLike[str]
    flash: str | os.PathLike[str] | Mapping[int, str | os.PathLike[str]]
    engine: str
    seed: int
    firmware: str | os.PathLike[str]
    check: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one test asks for; None and "" where nobody says. Paths are absolute.

    `flash` has images by their offset in the array; `check` asks for the rules of the flash after the test.
    """

    target: Path | None = None
    board: str = ""
    boot: Path | None = None
    flash: tuple[tuple[int, Path], ...] = ()
    engine: str = ""
    seed: int | None = None
    firmware: Path | None = None
    check: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """What a power_cut_sweep asks for; `points` None is as many as a sweep makes."""

    target: Path
    points: int | None
    phases: tuple[str, ...]
    torn: str
    operations: tuple[tuple[int, int | None], ...]
    engine: str
    seed: int | None


class OptionError(Exception):
    """An option that is not known or has a wrong value; one line."""


def add_options(parser: pytest.Parser) -> None:
    """The plugin's part of the command line and of the ini file."""
    group = parser.getgroup("brownout", "emulated boards and power cuts")
    group.addoption("--brownout-engine", metavar="NAME", help=f"what runs boards: {', '.join(ENGINES)}")
    group.addoption("--brownout-target", metavar="FILE", help="target file of the tests")
    group.addoption("--brownout-board", metavar="NAME", help="board of the tests without a target")
    group.addoption("--brownout-seed", metavar="N", type=int, help="where everything random comes from")
    group.addoption(
        "--brownout-artifacts",
        metavar="DIR",
        help=f"folder for the evidence of failed tests (default: {_DEFAULT_ARTIFACTS})",
    )
    for name, text in INI.items():
        parser.addini(name, text)


def check_config(config: pytest.Config) -> None:
    """Raises OptionError for what cannot be, before anything is collected."""
    for name in _ini_names(config):
        if name not in INI:
            raise OptionError(
                f"{config.inipath}: {name}: unknown option; did you mean '{nearest(name, INI)}'?"
            )
    base_settings(config)
    folder = artifacts_folder(config)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--brownout-artifacts: {folder}: expected a folder, found a file")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OptionError(f"--brownout-artifacts: {folder}: cannot be made: {existing} is not writable")


def _ini_names(config: pytest.Config) -> list[str]:
    """Our keys in the ini file, whatever its kind: pytest only warns of those that it does not know."""
    if config.inipath is None:
        return []
    text = config.inipath.read_text(encoding="utf-8", errors="replace")
    return re.findall(r"^[ \t]*\"?(brownout_\w+)\"?[ \t]*[=:]", text, re.MULTILINE)


def artifacts_folder(config: pytest.Config) -> Path:
    """Where evidence of failed tests goes."""
    given: str | None = config.getoption("brownout_artifacts")
    named: str = config.getini("brownout_artifacts")
    if named and not given:
        return _ini_folder(config) / named
    # Not below the rootdir: a path after an option such as --brownout-target is a hint at that to pytest.
    return config.invocation_params.dir / (given or _DEFAULT_ARTIFACTS)


def base_settings(config: pytest.Config) -> Settings:
    """What command line and ini file say. Raises OptionError."""
    where, ini = config.invocation_params.dir, _ini_folder(config)
    target = _path(config.getoption("brownout_target"), where, "--brownout-target") or _path(
        config.getini("brownout_target"), ini, "brownout_target"
    )
    engine = config.getoption("brownout_engine") or config.getini("brownout_engine")
    seed = config.getoption("brownout_seed")
    if seed is None and config.getini("brownout_seed"):
        seed = _ini_number(config.getini("brownout_seed"))
    firmware = config.getini("brownout_firmware")
    return Settings(
        target=target,
        board=config.getoption("brownout_board") or config.getini("brownout_board"),
        engine=_engine(engine, "--brownout-engine") if engine else "",
        seed=seed,
        firmware=(ini / firmware).absolute() if firmware else None,
    )


def _ini_folder(config: pytest.Config) -> Path:
    return config.rootpath if config.inipath is None else config.inipath.parent


def _ini_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise OptionError(f"brownout_seed: '{text}': expected an integer") from error


# -- markers -----------------------------------------------------------------------------------------------


def settings_of(node: pytest.Item, config: pytest.Config) -> Settings:
    """What the marker `brownout`, the command line and the ini file say of one test. Raises OptionError."""
    base = base_settings(config)
    found: dict[str, object] = {}
    for marker in node.iter_markers(MARKER):
        if marker.args:
            raise OptionError(f"{MARKER}: expected options by name, such as {MARKER}(engine='qemu')")
        for key, value in marker.kwargs.items():
            known(MARKER, key, MarkerOptions.__annotations__)
            found.setdefault(key, value)
    folder = node.path.parent
    flash = found.get("flash", {})
    images = flash if isinstance(flash, dict) else {0: flash}
    return Settings(
        target=_file(found, "target", folder, MARKER) if "target" in found else base.target,
        board=_text(found, "board", MARKER) or base.board,
        boot=_file(found, "boot", folder, MARKER) if "boot" in found else None,
        flash=tuple(
            (_offset(offset), _file({"flash": image}, "flash", folder, MARKER))
            for offset, image in sorted(images.items())
        ),
        engine=_engine(_text(found, "engine", MARKER), f"{MARKER}: engine")
        if "engine" in found
        else base.engine,
        seed=_number(found, "seed", MARKER) if "seed" in found else base.seed,
        firmware=_file(found, "firmware", folder, MARKER) if "firmware" in found else base.firmware,
        check=_flag(found, "check", MARKER) if "check" in found else True,
    )


def sweep_settings(node: pytest.Item, config: pytest.Config) -> SweepSettings:
    """What the closest marker power_cut_sweep says, else command line and ini. Raises OptionError."""
    marker = node.get_closest_marker(SWEEP_MARKER)
    options: Mapping[str, object] = {} if marker is None else marker.kwargs
    if marker is not None and marker.args:
        raise OptionError(f"{SWEEP_MARKER}: expected options by name, such as {SWEEP_MARKER}(points=10)")
    for key in options:
        known(SWEEP_MARKER, key, SweepOptions.__annotations__)
    points = options.get("points")
    if points is not None and (not isinstance(points, int) or isinstance(points, bool) or points < 1):
        raise OptionError(
            f"{SWEEP_MARKER}: points: {points!r}: expected a number of at least 1, None for all"
        )
    torn = _text(options, "torn", SWEEP_MARKER) or "default"
    if torn not in _TORN:
        raise OptionError(f"{SWEEP_MARKER}: torn: '{torn}': did you mean '{nearest(torn, _TORN)}'?")
    base = settings_of(node, config)
    engine = _text(options, "engine", SWEEP_MARKER)
    return SweepSettings(
        points=points,
        phases=_phases(options.get("phases", _PHASES)),
        torn=torn,
        operations=_operations(options.get("operations", ())),
        engine=_engine(engine, f"{SWEEP_MARKER}: engine") if engine else base.engine,
        seed=_number(options, "seed", SWEEP_MARKER) if "seed" in options else base.seed,
        target=_sweep_target(options, node.path.parent, base.target),
    )


def _sweep_target(options: Mapping[str, object], folder: Path, base: Path | None) -> Path:
    target = _file(options, "target", folder, SWEEP_MARKER) if "target" in options else base
    if target is None:
        raise OptionError(
            f"{SWEEP_MARKER}: no target: expected target='target.toml', --brownout-target, or "
            "brownout_target in the ini file"
        )
    return target


def cut_texts(node: pytest.Item) -> tuple[str, ...]:
    """Cuts of the markers power_cut, those closest to the test last. Raises OptionError."""
    found: list[str] = []
    for marker in node.iter_markers(CUT_MARKER):
        if marker.kwargs:
            raise OptionError(
                f"{CUT_MARKER}: {next(iter(marker.kwargs))}: unknown option; expected cuts as texts, such as "
                f"{CUT_MARKER}('op=17/torn')"
            )
        if not marker.args or not all(isinstance(cut, str) for cut in marker.args):
            raise OptionError(f"{CUT_MARKER}: expected cuts as texts, such as {CUT_MARKER}('op=17/torn')")
        found[:0] = marker.args
    return tuple(found)


def power_cut_sweep(**options: Unpack[SweepOptions]) -> pytest.MarkDecorator:
    """`@pytest.mark.power_cut_sweep(...)` with options that a type checker knows."""
    return getattr(pytest.mark, SWEEP_MARKER)(**options)  # type: ignore[no-any-return]


def nearest(name: str, names: Iterable[str]) -> str:
    """The known name that is most like `name`."""
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.0)[0]


def known(where: str, key: str, names: Iterable[str]) -> None:
    """Raises OptionError when `key` is none of `names`."""
    if key not in names:
        raise OptionError(f"{where}: {key}: unknown option; did you mean '{nearest(key, names)}'?")


# -- values ------------------------------------------------------------------------------------------------


def _path(given: str | None, folder: Path, where: str) -> Path | None:
    return _existing(folder / given, where) if given else None


def _file(options: Mapping[str, object], key: str, folder: Path, where: str) -> Path:
    value = options[key]
    if not isinstance(value, str | os.PathLike):
        raise OptionError(f"{where}: {key}: expected a path, found {value!r}")
    return _existing(folder / Path(value).expanduser(), f"{where}: {key}")


def _existing(path: Path, where: str) -> Path:
    path = Path(os.path.normpath(path.absolute()))
    if path.exists():
        return path
    hint = ""
    if path.parent.is_dir():
        names = [item.name for item in path.parent.iterdir() if item.suffix == path.suffix]
        hint = f"; did you mean '{nearest(path.name, names)}'?" if names else ""
    raise OptionError(f"{where}: {path}: there is no such file{hint}")


def _text(options: Mapping[str, object], key: str, where: str) -> str:
    value = options.get(key, "")
    if not isinstance(value, str):
        raise OptionError(f"{where}: {key}: expected a text, found {value!r}")
    return value


def _number(options: Mapping[str, object], key: str, where: str) -> int | None:
    value = options[key]
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise OptionError(f"{where}: {key}: expected an integer, found {value!r}")
    return value


def _flag(options: Mapping[str, object], key: str, where: str) -> bool:
    value = options[key]
    if not isinstance(value, bool):
        raise OptionError(f"{where}: {key}: expected True or False, found {value!r}")
    return value


def _offset(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OptionError(f"{MARKER}: flash: {value!r}: expected an offset in the flash array")
    return value


def _engine(name: str, where: str) -> str:
    if name not in ENGINES:
        raise OptionError(
            f"{where}: '{name}': unknown engine; did you mean '{nearest(name, ENGINES)}'? expected one of "
            f"{', '.join(ENGINES)}"
        )
    return name


def _phases(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise OptionError(f"{SWEEP_MARKER}: phases: {value!r}: expected some of {', '.join(_PHASES)}")
    for name in names:
        if name not in _PHASES:
            raise OptionError(
                f"{SWEEP_MARKER}: phases: {name!r}: unknown phase; did you mean "
                f"'{nearest(str(name), _PHASES)}'? expected some of {', '.join(_PHASES)}"
            )
    return tuple(phase for phase in _PHASES if phase in names)


def _operations(value: object) -> tuple[tuple[int, int | None], ...]:
    problem = f"{SWEEP_MARKER}: operations: {value!r}: expected numbers and pairs, such as [3, (10, 20)]"
    if not isinstance(value, list | tuple):
        raise OptionError(problem)
    found: list[tuple[int, int | None]] = []
    for item in value:
        first, last = item if isinstance(item, tuple) and len(item) == 2 else (item, item)
        if not isinstance(first, int) or not (last is None or isinstance(last, int)):
            raise OptionError(problem)
        found.append((first, last))
    return tuple(found)
