"""What a board is connected to while it is swept: servers, a bus, another board ([live] of a target file)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from brownout.errors import BrownoutError, TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from brownout.device import Device
    from brownout.target import LiveSettings, Target


@runtime_checkable
class Surroundings(Protocol):
    """A context manager: entered before the first power-on of a sweep, left after its last one.

    Who wants to know of each power-on adds a listener to the device's engine (brownout.engines.base). An
    exception of any call ends the sweep with one line.
    """

    def __enter__(self) -> object:
        """Start what is needed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object:
        """Stop it. The device is off by then."""

    def connect(self, device: Device, /) -> None:
        """Connect the device, which has no power yet; called once."""

    def arrived(self) -> bool:
        """Whether the boot is over, seen from here; asked again and again. An outcome must hold as well."""


class Surrounded:
    """The surroundings of a target, with whatever they raise told in one line. Raises TargetError."""

    def __init__(self, target: Target, live: LiveSettings) -> None:
        self._where = f"{target.path}: live.surroundings: {live.name}"
        made = live.surroundings(target)
        if not isinstance(made, Surroundings):
            raise TargetError(
                f"{self._where}: returned {type(made).__name__}, expected a context manager with connect() "
                "and arrived()"
            )
        self._made = made

    @property
    def made(self) -> Surroundings:
        """What the function returned."""
        return self._made

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Started until the end of the with block."""
        with self._told():
            self._made.__enter__()
        try:
            yield
        finally:
            with self._told():
                self._made.__exit__(None, None, None)

    def connect(self, device: Device) -> None:
        """Connect the device."""
        with self._told():
            self._made.connect(device)

    def arrived(self) -> bool:
        """Whether the boot is over."""
        with self._told():
            return self._made.arrived()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrownoutError:
            raise
        except Exception as error:  # the user's code: whatever it raises is told, never a traceback
            raise TargetError(f"{self._where}: {type(error).__name__}: {error}") from error
