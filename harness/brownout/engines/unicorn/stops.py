"""Where a run is to end early: code addresses, marker words; and the trace of instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unicorn import UC_HOOK_CODE, UC_HOOK_MEM_WRITE

from brownout.engines.unicorn.counter import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unicorn.unicorn_py3.unicorn import Uc

    from brownout.engines.unicorn.counter import BlockCounter

_WORD = 4


class Stops:
    """Hooks for stop_at() and trace(). Translated code does not know of hooks that came later: it is
    dropped.
    """

    def __init__(self, uc: Uc, counter: BlockCounter) -> None:
        self._uc = uc
        self._counter = counter
        self._ranges: tuple[tuple[int, int], ...] = ()
        self._markers: tuple[int, ...] = ()
        self._hooks: list[int] = []
        self._trace: int | None = None
        self._on_instruction: Callable[[int], None] | None = None
        self._arrived = False
        self._left: int | None = None

    def stop_at(self, ranges: Sequence[tuple[int, int]], markers: Sequence[int]) -> None:
        """Replace what was asked for."""
        wanted = (tuple(ranges), tuple(markers))
        if wanted == (self._ranges, self._markers):
            return
        self._ranges, self._markers = wanted
        self._arrived = False
        for hook in self._hooks:
            self._uc.hook_del(hook)
        self._hooks = [
            self._uc.hook_add(UC_HOOK_CODE, self._on_code, begin=start, end=end - 1) for start, end in ranges
        ]
        self._hooks += [
            self._uc.hook_add(
                UC_HOOK_MEM_WRITE, self._on_store, begin=marker - _WORD + 1, end=marker + _WORD - 1
            )
            for marker in markers
        ]
        self._uc.ctl_flush_tb()

    def trace(self, on_instruction: Callable[[int], None] | None) -> None:
        """Replace the listener."""
        self._on_instruction = on_instruction
        if self._trace is None and on_instruction is not None:
            self._trace = self._uc.hook_add(UC_HOOK_CODE, self._on_any)
            self._uc.ctl_flush_tb()
        elif self._trace is not None and on_instruction is None:
            self._uc.hook_del(self._trace)
            self._trace = None
            self._uc.ctl_flush_tb()

    def note_change(self, address: int, length: int) -> None:
        """Memory was changed past the processor: by a flash operation."""
        if any(address < marker + _WORD and marker < address + length for marker in self._markers):
            self._arrive()

    @property
    def arrived(self) -> bool:
        """Whether take_arrival() would say so."""
        return self._arrived

    def take_arrival(self) -> bool:
        """Whether something that was asked for has happened since the last call."""
        arrived, self._arrived = self._arrived, False
        return arrived

    def set_out(self, pc: int, *, after_arrival: bool) -> None:
        """Execution is about to begin at `pc`, where it may go on although it stopped there."""
        self._left = pc if after_arrival else None

    def _arrive(self) -> None:
        self._arrived = True
        self._counter.watch(AT_ONCE)

    def _on_code(self, uc: Uc, address: int, _size: int, _data: object) -> None:
        if address == self._left:
            self._left = None
            return
        self._arrive()  # inside of an IT block Unicorn cannot stop: then before the next block
        self._counter.take_back(address)
        uc.emu_stop()

    def _on_store(self, _uc: Uc, _kind: int, address: int, size: int, _value: int, _data: object) -> None:
        if any(address < marker + _WORD and marker < address + size for marker in self._markers):
            self._arrive()

    def _on_any(self, _uc: Uc, address: int, _size: int, _data: object) -> None:
        if self._on_instruction is not None:
            self._on_instruction(address)
