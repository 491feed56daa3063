"""Hooks: functions of a Python file that the user wrote beside the target file.

A hook keeps the file's text, not the loaded function, so that a target can travel to a worker process.
"""

from __future__ import annotations

import functools
import hashlib
import linecache
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from brownout.board import Board
    from brownout.target.model import HookContext, Placed, Target

_MODULE_PREFIX = "brownout_hooks_"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFile:
    """A hooks file: its path (for messages and for files beside it) and its text."""

    path: Path
    text: str

    def function(self, name: str) -> Callable[..., object]:
        """The function `name`. Raises TargetError: the file cannot be run, or has no such function."""
        module = _load(self)
        function = getattr(module, name, None)
        if not callable(function):
            known = [
                key
                for key, value in vars(module).items()
                if isinstance(value, types.FunctionType) and value.__module__ == module.__name__
            ]
            raise TargetError(
                f"{self.path}: has no function '{name}'; it has {', '.join(known) or 'none at all'}"
            )
        found: Callable[..., object] = function
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class InvariantHook:
    """An invariant: calls the function; whatever it raises is a finding with its message."""

    file: HookFile
    name: str

    def __call__(self, context: HookContext, /) -> str | None:
        """None when all is well, else what is wrong."""
        try:
            result = self.file.function(self.name)(context)
        except AssertionError as error:
            return str(error) or "an assertion failed (it has no message)"
        except Exception as error:  # the user's code: whatever it raises is told, never hidden
            return f"{type(error).__name__}: {error}"
        if result is None or isinstance(result, str):
            return result or None
        return f"returned {result!r}, expected None or a message: use assert, or return text"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHook:
    """A state reader: calls the function; an error becomes a state of its own, which the report shows."""

    file: HookFile
    name: str

    def __call__(self, flash: bytes, /) -> str:
        """Name of the state that the array is in."""
        try:
            return str(self.file.function(self.name)(flash))
        except Exception as error:
            return f"({type(error).__name__}: {error})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundingsHook:
    """Makes what the board is connected to: calls the function with the target."""

    file: HookFile
    name: str

    def __call__(self, target: Target, /) -> object:
        """What it returned. Raises TargetError."""
        return _call(self.file, self.name, target)


def load_hook_file(path: Path) -> HookFile:
    """Read and run the hooks file. Raises TargetError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot be read as hooks ({error}): expected a Python file") from error
    file = HookFile(path=path, text=text)
    _load(file)
    return file


def hook_images(file: HookFile, name: str, board: Board) -> tuple[Placed, ...]:
    """What the function `name` places: it takes the board and returns Placed values. Raises TargetError."""
    from brownout.target.model import Placed

    result = _call(file, name, board)
    if not isinstance(result, list | tuple) or not all(isinstance(item, Placed) for item in result):
        raise TargetError(f"{file.path}: {name}: returned {_short(result)}, expected a list of Placed")
    return tuple(result)


def hook_files(file: HookFile, name: str, board: Board) -> Mapping[str, bytes]:
    """Contents that the function `name` makes, by name, for `file = "hook:NAME"`. Raises TargetError."""
    result = _call(file, name, board)
    if not isinstance(result, dict) or not all(
        isinstance(key, str) and isinstance(value, bytes) for key, value in result.items()
    ):
        raise TargetError(
            f"{file.path}: {name}: returned {_short(result)}, expected a dict of names and bytes"
        )
    return dict(result)


def _call(file: HookFile, name: str, argument: Board | Target) -> object:
    function = file.function(name)
    try:
        return function(argument)
    except Exception as error:
        raise TargetError(f"{file.path}: {name}: {type(error).__name__}: {error}") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@functools.lru_cache(maxsize=32)
def _load(file: HookFile) -> types.ModuleType:
    """Run the text once in each process. The file's folder is on sys.path while it runs, as for a script."""
    name = _MODULE_PREFIX + hashlib.blake2b(f"{file.path}\n{file.text}".encode(), digest_size=8).hexdigest()
    module = types.ModuleType(name)
    module.__file__ = str(file.path)
    folder = str(file.path.parent)
    linecache.cache[str(file.path)] = (
        len(file.text),
        None,
        file.text.splitlines(keepends=True),
        str(file.path),
    )
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    sys.path.insert(0, folder)
    try:
        exec(compile(file.text, str(file.path), "exec"), module.__dict__)  # noqa: S102 - hooks are the user's code
    except SyntaxError as error:
        raise TargetError(f"{file.path}: line {error.lineno}: {error.msg}: expected a Python file") from error
    except Exception as error:
        raise TargetError(f"{file.path}: cannot be run: {type(error).__name__}: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    return module
