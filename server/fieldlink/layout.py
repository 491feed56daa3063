"""A board's module regions, as a release needs them: a TOML file exported from the board's description.

::

    board = "mps2-an385"          # optional; checked against --board when given

    [modules.kernel]
    id = 1
    kind = 1                      # 1 code executed in place, 2 code copied to RAM, 3 data
    region_offset = 0x20000       # bytes from the start of the flash array
    region_size = 0x20000
"""

import difflib
import itertools
from dataclasses import dataclass
from pathlib import Path

import tomli

from fieldlink.atomic import read_input
from fieldlink.errors import ConfigError
from fieldlink.fields import U32_MAX
from fieldlink.manifest import MODULES_LIMIT, ModuleKind

_FILE_LIMIT = 65536
_MODULE_KEYS = ("id", "kind", "region_offset", "region_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRegion:
    """Where one module of a board lives. Bytes from the start of the flash array."""

    name: str
    id: int
    kind: ModuleKind
    region_offset: int
    region_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All modules of a board, in ascending order of id."""

    modules: tuple[ModuleRegion, ...]
    board: str | None = None

    def find(self, name: str) -> ModuleRegion:
        """The module called `name`. ConfigError names the known ones."""
        for module in self.modules:
            if module.name == name:
                return module
        known = ", ".join(module.name for module in self.modules)
        raise ConfigError(f"module {name!r} is not in the layout; it has {known}")


def load_layout(path: Path) -> Layout:
    """Layout in a TOML file. ConfigError says what is wrong and where."""
    where = f"layout {path}"
    try:
        document = tomli.loads(read_input(path, "layout", _FILE_LIMIT).decode("utf-8"))
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    _check_keys(where, document, ("board", "modules"))
    tables = document.get("modules")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{where}: expected a table [modules.NAME] for each module")
    if len(tables) > MODULES_LIMIT:
        raise ConfigError(f"{where}: {len(tables)} modules, at most {MODULES_LIMIT}")
    board = document.get("board")
    if board is not None and not isinstance(board, str):
        raise ConfigError(f"{where}: board must be a string")
    modules = sorted((_module(where, name, table) for name, table in tables.items()), key=lambda m: m.id)
    _check_overlaps(where, modules)
    return Layout(modules=tuple(modules), board=board)


def _check_keys(where: str, table: dict[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _module(where: str, name: str, table: object) -> ModuleRegion:
    where = f"{where}: [modules.{name}]"
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table with {', '.join(_MODULE_KEYS)}")
    _check_keys(where, table, _MODULE_KEYS)
    numbers = {}
    for key in _MODULE_KEYS:
        value = table.get(key)
        if type(value) is not int or not 0 <= value <= U32_MAX:
            raise ConfigError(f"{where}: {key} is missing or not an unsigned 32-bit integer")
        numbers[key] = value
    if numbers["kind"] not in tuple(ModuleKind):
        kinds = ", ".join(f"{kind.value} {kind.name.lower()}" for kind in ModuleKind)
        raise ConfigError(f"{where}: kind {numbers['kind']} is unknown; known are {kinds}")
    if numbers["id"] == 0 or numbers["region_size"] == 0:
        raise ConfigError(f"{where}: id and region_size must be at least 1")
    return ModuleRegion(
        name=name,
        id=numbers["id"],
        kind=ModuleKind(numbers["kind"]),
        region_offset=numbers["region_offset"],
        region_size=numbers["region_size"],
    )


def _check_overlaps(where: str, modules: list[ModuleRegion]) -> None:
    for one, other in itertools.pairwise(modules):
        if one.id == other.id:
            raise ConfigError(f"{where}: modules {one.name} and {other.name} have the same id {one.id}")
    placed = sorted(modules, key=lambda module: module.region_offset)
    for one, other in itertools.pairwise(placed):
        if one.region_offset + one.region_size > other.region_offset:
            raise ConfigError(f"{where}: the regions of {one.name} and {other.name} overlap")
