"""What all importers need: what the user said about a file, and JSON whose shape nobody promises."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from brownout.errors import ImportFileError
from brownout.results.model import Revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from brownout.results.model import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user said; None and "" where nothing was said, and the file itself is asked.

    `firmware` are images and folders of images; `evidence` is the folder below which evidence was kept;
    `target` the target file that was swept, for commands; `sources` a folder of the repository, in which
    source files are looked for.
    """

    project: str
    revision: Revision = field(default_factory=Revision)
    engine: str | None = None
    board: str | None = None
    seed: int | None = None
    firmware: Sequence[Path] = ()
    evidence: Path | None = None
    target: str = ""
    sources: Path | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file to import: its content is read once."""

    path: Path
    data: bytes
    modified: datetime

    def error(self, text: str) -> ImportFileError:
        """What is wrong with it."""
        return ImportFileError(f"{self.path}: {text}")

    def ended(self, duration_s: float) -> datetime:
        """When a run began that wrote this file at its end, and took so long."""
        return self.modified - timedelta(seconds=max(0.0, duration_s))


def read_result_file(path: Path) -> ResultFile:
    """Read a file. Raises ImportFileError."""
    try:
        data = path.read_bytes()
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise ImportFileError(f"{path}: cannot be read ({error.strerror})") from error
    return ResultFile(path=path, data=data, modified=modified)


class Fields:
    """A JSON object whose values are asked for by name and type. Every failure names file, place and type."""

    def __init__(self, file: ResultFile, value: object, place: str = "") -> None:
        if not isinstance(value, dict):
            raise file.error(f"{place or 'content'}: expected an object, found {_kind(value)}")
        self._file, self._values, self._place = file, value, place

    def is_null(self, name: str) -> bool:
        """There is no such value, or null."""
        return self._values.get(name) is None

    def text(self, name: str, default: str | None = None) -> str:
        """Text; null is the default, when there is one."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def number(self, name: str) -> float:
        """A number that is finite."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(name, "a number")
        return float(value)

    def integer(self, name: str) -> int:
        """A whole number."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of text."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of text")
        return [str(value) for value in values]

    def integers(self, name: str) -> list[int]:
        """A list of whole numbers."""
        values = self._list(name)
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self._wrong(name, "a list of whole numbers")
        return [value for value in values if isinstance(value, int)]

    def numbers(self, name: str) -> list[float]:
        """A list of numbers that are finite."""
        found = []
        for value in self._list(name):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise self._wrong(name, "a list of numbers")
            found.append(float(value))
        return found

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        place = f"{self._place}.{name}" if self._place else name
        return [
            Fields(self._file, value, f"{place}[{number}]") for number, value in enumerate(self._list(name))
        ]

    def mapping(self, name: str) -> dict[str, object]:
        """An object as it is; empty when there is none."""
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return value

    def _list(self, name: str) -> list[object]:
        value = self._values.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def _wrong(self, name: str, expected: str) -> ImportFileError:
        place = f"{self._place}.{name}" if self._place else name
        found = _kind(self._values[name]) if name in self._values else "nothing"
        return self._file.error(f"{place}: expected {expected}, found {found}")


def unique_cases(cases: Iterable[Case]) -> list[Case]:
    """The cases, each with a name of its own: of several alike, the later ones get a number."""
    seen: Counter[str] = Counter()
    found = []
    for case in cases:
        seen[case.name] += 1
        count = seen[case.name]
        found.append(case if count == 1 else dataclasses.replace(case, name=f"{case.name} ({count})"))
    return found


def shown_path(path: str | Path) -> str:
    """A path relative to the current folder when it is below that, else as it is."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
