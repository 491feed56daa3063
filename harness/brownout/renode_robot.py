"""Power cuts in `renode-test` suites: `Library    brownout.renode_robot.RenodePowerLibrary` (docs/renode.md).

Renode is started by renode-test, the machine is made by the suite; these keywords use Renode's own one,
`Execute Command`.
"""

from __future__ import annotations

import atexit
import contextlib
from datetime import timedelta  # noqa: TC003 - Robot converts arguments by the annotations at run time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from robot.api import logger
from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

from brownout.board import load_board, load_board_file
from brownout.engines.base import PowerState  # noqa: TC001 - as above
from brownout.engines.renode.guest import RenodeGuest
from brownout.errors import EngineError, StateError
from brownout.files import read_file, write_atomic
from brownout.power import Replay, parse_cut
from brownout.robot.flash_places import bytes_at, check_holds, offset_of
from brownout.target import load_target

if TYPE_CHECKING:
    from brownout.board import Board
    from brownout.power import ArmedCut

_TIMEOUT_S: Final = 30.0


@library(scope="GLOBAL", auto_keywords=False)
class RenodePowerLibrary:
    """Cuts the power of the machine in Renode at an operation of its flash, and reads the flash."""

    def __init__(self) -> None:
        self._guest: RenodeGuest | None = None
        self._armed: list[ArmedCut] = []
        self._board: Board | None = None
        atexit.register(self._forget)

    # -- setting up ----------------------------------------------------------------------------------------

    @keyword
    def prepare_power_cuts(self, board: str = "mps2-an385", seed: int | None = None) -> str:
        """Makes everything ready for a machine, *before* a script makes it. The flash is all erased.

        ``board`` is the name of a board, or the path of a ``board.toml``: it says where the flash and its
        doorbell are. ``seed`` decides everything random; without one it is drawn and logged.

        Returns the path of the doorbell's script, for ``machine PyDevFromFile``.

        Example:
        | ${doorbell}    `Prepare Power Cuts`    mps2-an385    seed=1
        | Execute Command    $doorbell=@${doorbell}
        | Execute Command    include @${CURDIR}/board.resc
        """
        self._forget()
        used = Replay.new_seed() if seed is None else seed
        self._board = load_board_file(Path(board)) if board.endswith(".toml") else load_board(board)
        self._guest = RenodeGuest(self._board, _execute, seed=used)
        logger.info(f"power cuts on {self._board.name}, seed {used}")
        return str(self._guest.script)

    @keyword
    def release_power_cuts(self) -> None:
        """Takes the power and gives everything back; for a teardown. Nothing happens without power cuts.

        Example:
        | [Teardown]    `Release Power Cuts`
        """
        guest, self._guest = self._guest, None
        self._armed.clear()
        if guest is not None:
            guest.close()

    @keyword
    def load_flash(self, file: Path, place: str = "0") -> None:
        """Puts a binary ``file`` into the flash, as a factory does. The power must be off.

        ``place`` is a region of the board, or an offset in the flash, such as ``0x20000``.

        Example:
        | `Load Flash`    ${CURDIR}/build/app.bin    app
        """
        data = read_file(file, "what to load into the flash")
        self._ready.flash.load(offset_of(self._ready.flash, place), data)

    @keyword
    def load_flash_of_target(self, target: Path) -> None:
        """Puts into the flash what a ``target`` file places there (docs/targets.md).

        Example:
        | `Load Flash Of Target`    ${CURDIR}/target.toml
        """
        loaded, flash = load_target(target), self._ready.flash
        base, end = loaded.board.flash.base, loaded.board.flash.end
        for piece in loaded.placed:
            if base <= piece.address < end:
                flash.load(piece.address - base, piece.data)

    @keyword
    def take_flash_from_machine(self) -> None:
        """Takes over what the script has loaded into the machine's flash. The power must be off.

        Example:
        | Execute Command    sysbus LoadBinary @${CURDIR}/app.bin 0x21000000
        | `Take Flash From Machine`
        """
        self._ready.take_flash()

    # -- power ---------------------------------------------------------------------------------------------

    @keyword
    def power_on(self) -> None:
        """Resets the machine, fills flash and RAM, starts it. Leave ``start`` to this keyword.

        Example:
        | `Power On`
        | Wait For Line On Uart    ready    timeout=60
        """
        self._ready.on()

    @keyword
    def cut_power(self) -> None:
        """Takes the power now, wherever the firmware is.

        Example:
        | `Cut Power`
        """
        self._ready.cut()

    @keyword
    def arm_power_cut(self, cut: str) -> None:
        """Arms a cut, such as ``op=12/torn`` or ``region=kernel.program#3/before`` (docs/power-cuts.md).

        Example:
        | `Arm Power Cut`    op=12/torn
        | `Power On`
        | `Wait For Power Cut`
        """
        self._armed.append(self._ready.flash.arm(parse_cut(cut)))

    @keyword
    def wait_for_power_cut(self, timeout: timedelta | None = None) -> str:
        """Waits until the armed cut has fired and the machine stands still; the time is the host's.

        Returns what happened, in words. A cut that does not fire is a failure.

        Example:
        | `Wait For Power Cut`    timeout=1 minute
        """
        guest = self._ready
        if not self._armed:
            raise StateError("wait for power cut: no cut is armed")
        try:
            fired = self._armed[-1].wait(_TIMEOUT_S if timeout is None else timeout.total_seconds())
        finally:
            guest.raise_for_failure()
        guest.stand_still()
        text = f"{fired.cut} fired at operation {fired.ordinal} of power session {fired.session}"
        logger.info(text)
        return text

    @keyword
    def power_should_be(self, state: PowerState) -> None:
        """Fails unless the power is ``on`` or ``off``, as ``state`` says.

        Example:
        | `Power Should Be`    off
        """
        if self._ready.state is not state:
            raise AssertionError(f"the power is {self._ready.state.value}, expected {state.value}")

    @keyword
    def get_replay_id(self) -> str:
        """What it takes to do this again: board, seed and the cuts so far.

        Example:
        | ${id}    `Get Replay Id`
        """
        guest = self._ready
        cuts = tuple(armed.cut for armed in self._armed)
        board = "" if self._board is None else self._board.name
        return str(Replay(board=board, engine="renode", seed=guest.flash.model.seed, cuts=cuts))

    # -- flash ---------------------------------------------------------------------------------------------

    @keyword
    def read_flash(self, place: str, count: int | None = None) -> bytes:
        """Bytes of the flash: a region, whole or its first ``count``, or ``count`` at an offset.

        Example:
        | ${header}    `Read Flash`    app    16
        """
        return bytes_at(self._ready.flash, place, count)

    @keyword
    def flash_should_hold(self, place: str, file: Path) -> None:
        """Fails unless the flash at ``place``, a region or an offset, starts with the bytes of ``file``.

        Example:
        | `Flash Should Hold`    app    ${CURDIR}/build/app.bin
        """
        check_holds(self._ready.flash, place, file)

    @keyword
    def flash_should_obey_its_rules(self) -> None:
        """Fails when the firmware broke a rule of the flash: a store past the controller, a bit set again.

        Example:
        | `Flash Should Obey Its Rules`
        """
        flash = self._ready.flash
        flash.checkpoint()
        flash.model.raise_for_violations()

    @keyword
    def get_flash_operation_count(self) -> int:
        """How many flash operations there were since the last power-on.

        Example:
        | ${count}    `Get Flash Operation Count`
        """
        return self._ready.flash.model.ordinal

    @keyword
    def save_flash(self, file: Path) -> None:
        """Writes the whole flash to ``file``.

        Example:
        | `Save Flash`    ${OUTPUT_DIR}/after.bin
        """
        write_atomic(file, self._ready.flash.image())

    # -- inside --------------------------------------------------------------------------------------------

    @property
    def _ready(self) -> RenodeGuest:
        if self._guest is None:
            raise StateError(
                "no power cuts are prepared: use Prepare Power Cuts before the script is included"
            )
        return self._guest

    def _forget(self) -> None:
        """Give back what there is, though Renode may be gone."""
        with contextlib.suppress(Exception):
            self.release_power_cuts()


def _execute(command: str) -> str:
    """Renode's own keyword. Raises EngineError with what it said."""
    try:
        return str(BuiltIn().run_keyword("Execute Command", command) or "")
    except Exception as error:
        raise EngineError(f"Renode: '{command}': {' '.join(str(error).split())}") from error


__all__ = ["RenodePowerLibrary"]
