"""Every error that brownout raises on purpose.

    BrownoutError
    +-- SettingsError     a TOML file: syntax, unknown key, wrong type
    +-- BoardError        a board that does not exist or does not fit together
    +-- TargetError       a target file whose parts do not fit together, or a hook of it that fails
    +-- ElfError          a firmware image that cannot be used
    +-- StateError        a call in the wrong state, e.g. power_on() twice
    +-- EngineError       the emulator is missing, or ended by itself
    +-- DeadlineError     something that was waited for did not happen in time
    |   +-- CutNotFired   a power cut was armed and never fired (oracle 6)
    +-- ReplayError       text that is not a replay id
    +-- UplinkError       the modem lost its port or cannot reach its server
    +-- SweepError        a target that cannot be swept, or a sweep that cannot go on
    +-- EvidenceError     a folder of evidence that cannot be written, or is none
    +-- StoreError        a store of results that cannot be used, or has no such run
    +-- ImportFileError   a file of results that cannot be imported
    +-- BuildError        firmware that a scenario needs is not built
    +-- ImageError        a flash image that the reference firmware could not have, or that cannot be built
    +-- FlashError        the flash model was asked for something it cannot do
        +-- GeometryError   sizes that do not divide, a region outside the array
        +-- LogError        a file that is not an operation log
        +-- ViolationError  the firmware broke a rule of the flash (oracle 5)

A message is one line: what, where, what was expected, what to do.
"""

from __future__ import annotations


class BrownoutError(Exception):
    """Root of the package's errors."""


class SettingsError(BrownoutError):
    """A settings file is not what its schema says."""


class BoardError(BrownoutError):
    """A board does not exist, or its parts do not fit together."""


class TargetError(BrownoutError):
    """A target file's parts do not fit together or the board, or its hooks file cannot be used."""


class SweepError(BrownoutError):
    """A target that cannot be swept: it does not run even without a cut; or a sweep that cannot go on."""


class EvidenceError(BrownoutError):
    """A folder of evidence cannot be written, or is none."""


class StoreError(BrownoutError):
    """A store of results cannot be used: another schema, no such run, no access."""


class ImportFileError(BrownoutError):
    """A file of results cannot be imported: half written, of another version, no results at all."""


class BuildError(BrownoutError):
    """Firmware that a scenario needs is not built."""


class ElfError(BrownoutError):
    """A firmware image cannot be used."""


class StateError(BrownoutError):
    """A call that the object's present state does not allow."""


class EngineError(BrownoutError):
    """The emulator cannot be started, or ended by itself."""


class DeadlineError(BrownoutError):
    """Something that was waited for did not happen in time."""


class CutNotFired(DeadlineError):  # noqa: N818 - the name says the finding
    """A requested power cut did not fire: the run says nothing about it."""


class ReplayError(BrownoutError):
    """Text that is not a replay id."""


class UplinkError(BrownoutError):
    """The modem lost its port or cannot reach its server."""


class ImageError(BrownoutError):
    """A flash image of the reference firmware cannot be read or built."""


class FlashError(BrownoutError):
    """The flash model was asked for something it cannot do."""


class GeometryError(FlashError):
    """Flash sizes do not divide as they must, or a region is not inside the array."""


class LogError(FlashError):
    """A file is not an operation log."""


class ViolationError(FlashError):
    """The firmware broke a rule of the flash; the message lists what was recorded."""
