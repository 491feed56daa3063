"""Loads a target file and checks everything that can be checked before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.board import load_board, load_board_file
from brownout.elf import load_elf
from brownout.errors import BoardError, ElfError, SettingsError, TargetError
from brownout.settings import load_settings
from brownout.target.cores import core_problem
from brownout.target.hooks import HookFile, InvariantHook, StateHook, SurroundingsHook, load_hook_file
from brownout.target.model import AddressRange, Hook, LiveSettings, Placed, Target
from brownout.target.outcomes import expected_outcome, read_outcomes
from brownout.target.placing import Places, made_files, place_all
from brownout.target.renode import read_renode
from brownout.target.schema import TargetFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.board import Board

_LONGEST_BUDGET: Final = 10**12
_MOST_BOOTS: Final = 100
_WORD: Final = 4
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GENERIC_STEMS: Final = ("target", "brownout")


def load_target(path: Path, platform: Path | None = None) -> Target:
    """Load and check the target file at `path`; `platform` is the folder of boards (None: brownout's own).

    Files that it names are relative to its folder.

    Raises:
        SettingsError: TOML syntax, unknown or missing keys, values of wrong types.
        TargetError: what the keys say does not fit together or the board, or a hook cannot be used.
        BoardError, ElfError: the board or the ELF file.
    """
    path = path.absolute()
    file = load_settings(path, TargetFile)
    board = _board(path, file.board, platform)
    hooks = _hooks(path, file)
    elf_path = None if file.elf is None else path.parent / Path(file.elf).expanduser()
    if elf_path is not None and not elf_path.is_file():
        raise TargetError(f"{path}: elf: {elf_path}: there is no such file: build the bootloader first")
    try:
        elf = None if elf_path is None else load_elf(elf_path)
    except ElfError as error:
        raise TargetError(f"{path}: elf: {error}") from error
    if elf_path is not None and (problem := core_problem(elf_path, board.cpu.core)):
        raise TargetError(f"{path}: elf: {elf_path} {problem}")
    places = Places(
        path=path,
        board=board,
        regions=_regions(path, file, board),
        own_regions=frozenset(file.regions),
        elf=elf,
        made=made_files(path, file, hooks, board),
    )
    placed = place_all(places, file, hooks)
    outcomes = read_outcomes(places, file, placed)
    _check_boot(places, file)
    vector_table = _vector_table(places, file, placed)
    return Target(
        path=path,
        name=_name(path, file),
        board=board,
        elf=elf,
        placed=placed,
        region_names=places.regions,
        boot_budget=file.boot.budget,
        clean_boots=file.boot.clean_boots,
        outcomes=outcomes,
        expected=expected_outcome(places, file, outcomes),
        hooks=_invariants(places, file, hooks),
        rules=frozenset(file.rules),
        state_of=_state(places, file, hooks),
        seed=file.seed,
        vector_table=vector_table,
        renode=read_renode(places, file),
        live=_live(places, file, hooks),
    )


def _name(path: Path, file: TargetFile) -> str:
    """The name it gives itself, else the file's, else the folder's where the file's says nothing.

    It stands in replay ids, so it has no colons and no blanks.
    """
    if file.name is not None:
        if not _NAME.fullmatch(file.name):
            raise TargetError(f"{path}: name: '{file.name}': expected letters, digits, '.', '_' and '-'")
        return file.name
    stem = path.parent.name if path.stem in _GENERIC_STEMS else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "target"


def _board(path: Path, name: str, platform: Path | None) -> Board:
    try:
        if name.endswith(".toml") or "/" in name:
            return load_board_file(path.parent / Path(name).expanduser())
        return load_board(name, platform)
    except (BoardError, SettingsError) as error:
        raise TargetError(f"{path}: board: {error}") from error


def _regions(path: Path, file: TargetFile, board: Board) -> Mapping[str, AddressRange]:
    """The board's regions and the target's, by offset in the array; the target's win."""
    found = {
        name: AddressRange(start=region.offset, end=region.end)
        for name, region in board.flash.regions.items()
    }
    for name, region in file.regions.items():
        start, end = region.address - board.flash.base, region.address + region.size - board.flash.base
        if region.size <= 0 or start < 0 or end > board.flash.size:
            raise TargetError(
                f"{path}: regions.{name}: {region.address:#x}, {region.size:#x} bytes: expected part of "
                f"the flash {board.flash.base:#x}..{board.flash.end - 1:#x}"
            )
        found[name] = AddressRange(start=start, end=end)
    return found


def _check_boot(places: Places, file: TargetFile) -> None:
    if not 0 < file.boot.budget <= _LONGEST_BUDGET:
        raise places.error(
            "boot.budget", f"{file.boot.budget}: expected 1 to {_LONGEST_BUDGET} halfwords of code"
        )
    if not 1 <= file.boot.clean_boots <= _MOST_BOOTS:
        raise places.error("boot.clean_boots", f"{file.boot.clean_boots}: expected 1 to {_MOST_BOOTS} boots")


def _hooks(path: Path, file: TargetFile) -> HookFile | None:
    if file.hooks is None:
        return None
    hooks = path.parent / Path(file.hooks.file).expanduser()
    if not hooks.is_file():
        raise TargetError(f"{path}: hooks.file: {hooks}: there is no such file: expected a Python file")
    try:
        loaded = load_hook_file(hooks)
        for name in (*file.hooks.invariants, file.hooks.state, file.hooks.images, file.hooks.files):
            if name is not None:
                loaded.function(name)
    except TargetError as error:
        raise TargetError(f"{path}: hooks: {error}") from error
    return loaded


def _invariants(places: Places, file: TargetFile, hooks: HookFile | None) -> Mapping[str, Hook]:
    if hooks is None or file.hooks is None:
        return {}
    names = file.hooks.invariants
    if len(set(names)) != len(names):
        raise places.error("hooks.invariants", f"expected each function once, found {', '.join(names)}")
    return {name: InvariantHook(file=hooks, name=name) for name in names}


def _state(places: Places, file: TargetFile, hooks: HookFile | None) -> StateHook | None:
    if hooks is None or file.hooks is None or file.hooks.state is None:
        return None
    return StateHook(file=hooks, name=file.hooks.state)


def _live(places: Places, file: TargetFile, hooks: HookFile | None) -> LiveSettings | None:
    live = file.live
    if live is None:
        return None
    if hooks is None or file.hooks is None:
        raise places.error("live.surroundings", f"'{live.surroundings}': expected [hooks] file, which has it")
    try:
        hooks.function(live.surroundings)
    except TargetError as error:
        raise places.error("live.surroundings", str(error)) from error
    if live.states and file.hooks.state is None:
        raise places.error("live.states", "expected [hooks] state, which tells states from each other")
    return LiveSettings(
        name=live.surroundings,
        surroundings=SurroundingsHook(file=hooks, name=live.surroundings),
        states=frozenset(live.states),
    )


def _vector_table(places: Places, file: TargetFile, placed: Sequence[Placed]) -> int | None:
    """Where the core starts: as the file says, else the board. Raises TargetError when no code is there."""
    unicorn = places.board.engine.unicorn
    table = file.boot.vector_table
    if table is None and unicorn is not None:
        table = places.board.flash.base if unicorn.vector_table is None else unicorn.vector_table
    if table is None:
        return None
    home = next((item for item in placed if item.address <= table < item.address + len(item.data)), None)
    vectors = b"" if home is None else home.data[table - home.address :][: 2 * _WORD]
    if home is None or len(vectors) < 2 * _WORD:
        raise places.error(
            "boot.vector_table",
            f"nothing lies at {table:#x}, where the core starts: expected a stack pointer and reset vector",
        )
    if not vectors[_WORD] & 1:
        reset = int.from_bytes(vectors[_WORD:], "little")
        raise places.error(
            "boot.vector_table",
            f"{home.source} has the reset vector {reset:#x} at {table + _WORD:#x}: expected an odd address "
            "(Thumb code)",
        )
    return table
