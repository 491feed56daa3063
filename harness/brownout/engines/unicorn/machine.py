"""A microcontroller in this process: Unicorn executes the code, everything else of the chip is Python.

Virtual time is the number of halfwords of code executed, counted by blocks of code: straight runs up to a
branch. All that happens to the core from outside (interrupts, timers, the end of a budget, pause(), a reset)
happens between two blocks, so that stopping and going on changes nothing: the same inputs give the same run,
to the byte.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.assembly import Assembly
from brownout.engines.unicorn.bus import Fabric
from brownout.engines.unicorn.chip import Chip
from brownout.engines.unicorn.counter import AT_ONCE, MASKED, NOBODY, SPINNING
from brownout.engines.unicorn.interface import Retaining, Stop, StopKind
from brownout.engines.unicorn.services import Services
from brownout.engines.unicorn.state import MachineState
from brownout.engines.unicorn.system import SYSTICK
from brownout.engines.unicorn.traps import Trap
from brownout.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.board import Board
    from brownout.engines.unicorn.core import Registers
    from brownout.engines.unicorn.interface import FlashPort

_SLEEPING, _WAITING_EVENT = "wfi", "wfe"
_BIT_BAND_CORES: Final = ("cortex-m3", "cortex-m4")


class Machine:
    """One microcontroller. It can be used for any number of power-ons; each is as that of a new one."""

    def __init__(
        self,
        board: Board,
        *,
        rom: Sequence[tuple[int, bytes]],
        port: FlashPort,
        vector_table: int,
        native: bool | None = None,
    ) -> None:
        """Make the machine, without power.

        Args:
            board: its [peripheral.*] and [flash.controller] say what is on the bus.
            rom: (address, bytes) outside of RAM and the flash array, or in a peripheral that takes bytes
            (UICR). port: carries out flash operations. vector_table: where the core reads stack pointer and
            reset vector. native: count blocks with machine code (llvmlite); None: where it can be had.

        Raises:
            EngineError: the board does not fit together, `rom` lies where it cannot, an unknown kind of
            peripheral.
        """
        settings = board.engine.unicorn
        self._board = board
        self._services = Services(port)
        self._powered = False
        self._limit = 0
        self._waiting = ""
        self._pause = False
        self.resets = 0
        """Resets of the core since power-on."""
        self._fabric = Fabric(
            self._services,
            unmapped_read=settings.unmapped_read if settings is not None else 0,
            clock_hz=board.cpu.clock_hz,
            bit_band=board.cpu.core in _BIT_BAND_CORES,
        )
        self._chip = Chip(
            board,
            geometry_of(board.flash),
            vector_table=vector_table,
            native=native,
            fabric=self._fabric,
            request_reset=self._services.request_reset,
            log=self._services.note,
            store=self._services.store_to_array,
        )
        self._services.chip = self._chip
        self._system, self._counter = self._chip.system, self._chip.counter
        self._exceptions, self._core = self._chip.exceptions, self._chip.core
        self._assembly = Assembly(board, self._fabric)
        self._services.controller = self._assembly.controller
        self._chip.connect(self._assembly.preload(rom), precise=self._assembly.controller_span)

    # -- power -----------------------------------------------------------------------------------------

    def power_on(self, sectors: Sequence[bytes], *, ram_seed: int) -> None:
        """Start from nothing: this flash, seeded garbage in RAM, everything reset, time 0.

        `sectors` are the erase sectors of the whole array; those that are in place already (the same object)
        cost nothing. Raises EngineError: sectors of wrong sizes.
        """
        self._services.start(ram_seed)
        self._chip.flash.place(sectors)
        self._chip.take_read_ranges()
        self._chip.fill_ram(ram_seed)
        self._counter.time = 0
        self.resets = 0
        for peripheral in self._fabric.peripherals.values():
            if isinstance(peripheral, Retaining):
                peripheral.power_on()
        self._restart()
        self._powered = True

    def reset(self) -> None:
        """Reset core and peripherals as AIRCR.SYSRESETREQ does; RAM and time stay. Raises StateError: no
        power.
        """
        self._require_power("reset")
        self.resets += 1
        self._restart()

    def close(self) -> None:
        """Give everything back; nothing may be called afterwards."""
        self._powered = False
        self._chip.close()

    # -- running ---------------------------------------------------------------------------------------

    def run(self, budget: int) -> Stop:
        """Run for up to `budget` more virtual time, and one block of code. Raises StateError: no power."""
        self._require_power("run")
        self._limit = self.time + budget
        while True:
            stop = self._look() or self._go()
            if stop is not None:
                return stop

    def pause(self) -> None:
        """Have run() come back with PAUSED before the next block of code; for calls from inside run()."""
        self._pause = True
        self._counter.watch(AT_ONCE)

    def stop_at(self, ranges: Sequence[tuple[int, int]], markers: Sequence[int] = ()) -> None:
        """Have run() come back with ARRIVED.

        Before code in one of `ranges` (start, end) is executed, and before the block of code after a store to
        one of the words at `markers`, or a flash operation that changed one. Replaces what was said before.
        """
        self._chip.stops.stop_at(ranges, markers)

    def trace(self, on_instruction: Callable[[int], None] | None) -> None:
        """Call this with the address of each instruction before it is executed; None ends that. Slow."""
        self._chip.stops.trace(on_instruction)

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """Virtual time since power-on; inside of a block of code, that of its end."""
        return self._counter.time

    @property
    def operation_pc(self) -> int:
        """Address of the instruction that started the last flash operation; for the port."""
        return self._services.operation_pc

    @property
    def log(self) -> Sequence[str]:
        """Lines about unknown registers and the like since power-on, each once."""
        return tuple(self._services.log)

    @property
    def vtor(self) -> int:
        """Where the vector table is."""
        return self._system.vtor

    @property
    def array(self) -> memoryview:
        """The flash array as the processor reads it; a live, read-only view. A bypass shows here, not in
        the model.
        """
        return self._chip.flash.view

    @property
    def native(self) -> bool:
        """Whether blocks are counted by machine code."""
        return self._counter.native

    def registers(self) -> Registers:
        """The core's registers."""
        return self._core.registers()

    def read(self, address: int, size: int) -> bytes:
        """Memory (not registers of peripherals). Raises LookupError: there is none."""
        return self._chip.read(address, size)

    def output(self, role: str) -> bytes:
        """What the UART of a role of the board sent since power-on. Raises EngineError: there is none."""
        return self._assembly.serial(role).sent

    def feed(self, role: str, data: bytes) -> None:
        """Bytes for the UART of a role to receive. Raises EngineError: there is none."""
        self._assembly.serial(role).feed(data)

    def take_read_ranges(self) -> tuple[tuple[int, int], ...]:
        """Which parts (start, end) of the array decided what happened since the last call or power-on.

        Pages of 4 KiB that were executed, read or stored to by the processor or on its behalf.
        """
        return self._chip.take_read_ranges()

    # -- state -----------------------------------------------------------------------------------------

    def state_digest(self) -> bytes:
        """Digest of all that decides what follows, but for the flash array.

        Registers, RAM, system control space, peripherals. Not in it: what cannot be seen by the code that
        runs from here on. The absolute virtual time is such a thing: code sees time only through SysTick,
        CYCCNT and timers of peripherals, each of which saves its count or how far off its next event is, and
        not when it was started. So two runs that come to the same state at different times go on in the same
        way, as long as each has budget left. Likewise the number of resets (entropy and RAM garbage depend on
        the power-on's seed alone), what UARTs sent, and the log.

        RAM is hashed by pages, and only those are hashed again that changed since the last digest.
        """
        state = (
            self._core.registers(),
            self._core.float_registers(),
            self._system.save(),
            self._exceptions.event,
            self._exceptions.lockup,
            self._waiting,
            self._services.ram_seed,
            self._save_peripherals(),
        )
        hashed = hashlib.blake2b(repr(state).encode(), digest_size=32)
        hashed.update(self._chip.ram_digest.update())
        return hashed.digest()

    def save(self) -> MachineState:
        """The whole state but for the flash array and what UARTs sent. Raises StateError: no power."""
        self._require_power("save")
        return MachineState(
            time=self.time,
            resets=self.resets,
            ram_seed=self._services.ram_seed,
            registers=self._core.registers(),
            floats=self._core.float_registers(),
            system=self._system.save(),
            event=self._exceptions.event,
            waiting=self._waiting,
            block=self._counter.block,
            ram=self._chip.save_ram(),
            peripherals=self._save_peripherals(),
            log=tuple(self._services.log),
        )

    def load(self, state: MachineState, sectors: Sequence[bytes]) -> None:
        """Go back to a saved state, with this flash."""
        self.power_on(sectors, ram_seed=state.ram_seed)
        self._counter.time = state.time
        self.resets = state.resets
        self._chip.load_ram(state.ram)
        self._core.reset(0, 0)
        self._core.set_registers(state.registers)
        self._core.set_float_registers(state.floats)
        self._fabric.forget_ticks()
        for name, saved in state.peripherals:
            self._fabric.peripherals[name].load(saved)
        self._system.load(state.system)
        self._exceptions.lockup = ""
        self._exceptions.event = state.event
        self._waiting = state.waiting
        self._counter.forget_block(state.block)
        self._services.set_log(state.log)

    # -- inside: between blocks ------------------------------------------------------------------------

    def _look(self) -> Stop | None:
        """What is to be done before the next block, other than executing it."""
        stop = self._requested()
        if stop is not None:
            return stop
        self._fabric.run_ticks(self.time)
        self._system.tick()
        if self._services.reset_requested or self._services.power_lost:
            return self._requested()
        self._system.changed = False
        if self.time >= self._limit:
            return self._stop(StopKind.BUDGET)
        waiting = self._exceptions.waiting()
        if waiting is None:
            self._counter.watch(NOBODY)
            return None
        number, priority = waiting
        if self._exceptions.may_enter(priority):
            self._waiting = ""
            return self._after_exception(self._exceptions.interrupt(number)) or self._look()
        self._counter.watch(MASKED, priority=priority, group=self._system.group_mask)
        return None

    def _requested(self) -> Stop | None:
        if self._services.power_lost:
            self._powered = False
            return self._stop(StopKind.POWER_LOST)
        if self._exceptions.lockup:
            return self._stop(StopKind.LOCKUP, self._exceptions.lockup)
        if self._chip.stops.take_arrival():
            return self._stop(StopKind.ARRIVED)
        if self._services.reset_requested:
            self.reset()
            return self._stop(StopKind.RESET)
        if self._pause:
            self._pause = False
            return self._stop(StopKind.PAUSED)
        return None

    def _go(self) -> Stop | None:
        """Execute, or let the time pass until something happens."""
        if self._waiting:
            event = self._waiting == _WAITING_EVENT
            if not self._exceptions.wakes(event=event):
                return self._skip(StopKind.SLEEP)
            self._waiting = ""
        self._counter.set_limit(min(self._limit, self._next_event()))
        trap = self._chip.execute()
        if trap is Trap.STOPPED:
            return self._spin() if self._counter.take_stop() == SPINNING else None
        self._counter.take_stop()
        if trap in (Trap.WFI, Trap.WFE):
            self._waiting = _SLEEPING if trap is Trap.WFI else _WAITING_EVENT
            return None
        if self._services.power_lost:
            return None
        return self._after_exception(self._chip.traps.handle(trap))

    def _spin(self) -> Stop | None:
        """A block of one halfword came twice in a row."""
        self._counter.forget_block()
        return self._skip(StopKind.SPIN) if self._chip.branches_to_itself() else None

    def _skip(self, nothing: StopKind) -> Stop | None:
        """Nothing happens until the next event: let the time pass. `nothing` is why to stop when there is
        none.
        """
        due = self._fabric.due
        systick = self._system.systick.due
        counts = nothing is StopKind.SLEEP or self._exceptions.may_enter(self._system.priority(SYSTICK))
        if systick is not None and counts:
            due = systick if due is None else min(due, systick)
        if due is None:
            return self._stop(nothing)
        self._counter.time = max(self.time, min(due, self._limit))
        return None

    def _next_event(self) -> int:
        due = [time for time in (self._fabric.due, self._system.systick.due) if time is not None]
        return min(due, default=self._limit)

    def _after_exception(self, fault: str) -> Stop | None:
        if self._exceptions.lockup:
            return self._stop(StopKind.LOCKUP, self._exceptions.lockup)
        return self._stop(StopKind.FAULT, fault) if fault else None

    def _stop(self, kind: StopKind, detail: str = "") -> Stop:
        return Stop(kind=kind, pc=self._core.pc, time=self.time, detail=detail)

    # -- inside ----------------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Reset the core and what is around it."""
        self._waiting = ""
        self._pause = False
        self._services.clear()
        self._system.reset()
        self._exceptions.reset()
        self._chip.stops.take_arrival()
        self._chip.traps.clear()
        self._counter.forget_block()
        self._counter.take_stop()
        self._fabric.forget_ticks()
        for peripheral in self._fabric.peripherals.values():
            peripheral.reset()
        self._chip.start()

    def _require_power(self, what: str) -> None:
        if not self._powered:
            raise StateError(f"machine {what}: the power is off; power_on() first")

    def _save_peripherals(self) -> tuple[tuple[str, object], ...]:
        return tuple((name, peripheral.save()) for name, peripheral in self._fabric.peripherals.items())


def create_machine(
    board: Board, *, rom: Sequence[tuple[int, bytes]], port: FlashPort, vector_table: int | None = None
) -> Machine:
    """A machine for a board. `vector_table` None: as [engine.unicorn] says, or at the start of the flash.

    Raises EngineError.
    """
    settings = board.engine.unicorn
    if vector_table is None and settings is not None:
        vector_table = settings.vector_table
    return Machine(
        board, rom=rom, port=port, vector_table=board.flash.base if vector_table is None else vector_table
    )
