"""The devices of running suites, and the evidence of a test that may yet fail."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from brownout.errors import StateError
from brownout.evidence import read_evidence, write_evidence
from brownout.files import read_file
from brownout.robot.output import file_name, variable
from brownout.robot.words import hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from brownout.device import Device


class Source(Protocol):
    """Something that can tell what happened to it."""

    def save_evidence(self, folder: Path) -> None:
        """Write files into `folder`, which is made when it is missing. Raises BrownoutError."""


class Devices:
    """The devices of a library, by name.

    A device that was made in a test is closed when the test has ended, so that the next one finds none of it;
    one of a suite's setup is for all its tests. What was stopped in a test is kept until the test has ended.
    """

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._of_test: set[str] = set()
        self._kept: dict[str, Source] = {}
        self._well: str | None = None
        self._scratch: Path | None = None

    def start(self, name: str, make: Callable[[], Device]) -> Device:
        """Add what `make` returns. Raises StateError for a name that is taken."""
        if not name.strip():
            raise StateError("device '': expected a name")
        if name in self._devices:
            raise StateError(f"device '{name}': is there already; stop it first, or give another name")
        device = self._devices[name] = make()
        if _in_test():
            self._of_test.add(name)
        if self not in _OPEN:
            _OPEN.append(self)
        return device

    def get(self, name: str | None) -> Device:
        """The named device; without a name, the only one. Raises StateError."""
        if not self._devices:
            raise StateError("there is no device: use Start Device or Start Device From Target first")
        if name is None:
            if len(self._devices) > 1:
                raise StateError(f"there are several devices: say device= ({', '.join(self._devices)})")
            return next(iter(self._devices.values()))
        if name not in self._devices:
            raise StateError(f"device '{name}': there is none; {hint(name, self._devices)}")
        return self._devices[name]

    def name_of(self, name: str | None) -> str:
        """The name of what get() gives. Raises as get()."""
        device = self.get(name)
        return next(key for key, value in self._devices.items() if value is device)

    def stop(self, name: str | None) -> str:
        """Take a device down. In a test its evidence is kept until the test has ended. Raises as get().

        Returns its name.
        """
        device, found = self.get(name), self.name_of(name)
        try:
            if _in_test():
                scratch = self._scratch_folder(found)
                _Present(found, device).save_evidence(scratch)
                self.keep(found, _Gone(scratch))
        finally:
            del self._devices[found]
            self._of_test.discard(found)
            device.close()
        return found

    def stop_all(self) -> None:
        """Take all devices down."""
        for name in list(self._devices):
            self.stop(name)

    def keep(self, name: str, source: Source, *, well: bool = False) -> None:
        """Have the evidence of something that has ended saved, should the running test fail.

        `well`: it does not look like the cause; it is kept until something else is, as each takes megabytes.
        """
        if self._well is not None:
            del self._kept[self._well]
        found = _free(name, self._kept)
        self._kept[found] = source
        self._well = found if well else None
        if self not in _OPEN:
            _OPEN.append(self)

    def sources(self) -> Mapping[str, Source]:
        """All that has evidence of the running test."""
        found: dict[str, Source] = dict(self._kept)
        for name, device in self._devices.items():
            found[_free(name, found)] = _Present(name, device)
        return found

    def forget(self) -> None:
        """The test has ended: close what was made in it, drop what was kept for it."""
        ended, self._of_test = self._of_test, set()
        self._kept.clear()
        self._well = None
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.ExitStack() as stack:
            for device in [self._devices.pop(name) for name in ended]:
                stack.callback(device.close)

    def close(self) -> None:
        """Take everything down."""
        with contextlib.suppress(ValueError):
            _OPEN.remove(self)
        try:
            with contextlib.ExitStack() as stack:
                for device in self._devices.values():
                    stack.callback(device.close)
        finally:
            self._devices.clear()
            self._of_test.clear()
            self.forget()

    def _scratch_folder(self, name: str) -> Path:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="brownout-robot-"))
        return self._scratch / f"{len(self._kept)}-{file_name(name)}"


class _Present:
    """A device that is there."""

    def __init__(self, name: str, device: Device) -> None:
        self._name: Final = name
        self._device: Final = device

    def save_evidence(self, folder: Path) -> None:
        """Write it."""
        self._device.save_evidence(folder, subject=self._name)


class _Gone:
    """Evidence of a device that was stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def save_evidence(self, folder: Path) -> None:
        """Bring it to its place; the command names files there."""
        found = read_evidence(self._folder)
        words = (word.replace(str(self._folder), str(folder)) for word in shlex.split(found.command))
        files = {key: read_file(self._folder / name, "evidence") for key, name in found.files.items()}
        write_evidence(folder, dataclasses.replace(found, command=shlex.join(words)), files)


def _in_test() -> bool:
    return variable("${TEST NAME}") is not None


def _free(name: str, taken: Mapping[str, object]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


_OPEN: Final[list[Devices]] = []
"""All that have something. One process runs one suite at a time; suites around it may have devices, too."""
_WATCHED: Final[dict[str, Source]] = {}


@contextlib.contextmanager
def watch(name: str, source: Source) -> Iterator[None]:
    """For a library of your own: has the listener keep the evidence of a device that this library made.

    Until the with block ends; contextlib.ExitStack.enter_context() spans it over several keywords. Anything
    with save_evidence(folder) will do, such as brownout.device.Device. Raises StateError for a name that is
    taken.
    """
    if name in _WATCHED:
        raise StateError(f"device '{name}': is watched already")
    _WATCHED[name] = source
    try:
        yield
    finally:
        del _WATCHED[name]


def all_sources() -> Mapping[str, Source]:
    """All that has evidence of the running test, by names that differ."""
    found: dict[str, Source] = dict(_WATCHED)
    for devices in _OPEN:
        for name, source in devices.sources().items():
            found[_free(name, found)] = source
    return found


def forget_all() -> None:
    """The test has ended."""
    for devices in list(_OPEN):
        devices.forget()
