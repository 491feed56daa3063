"""The built reference firmware, by version."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from brownout.errors import BuildError

MODULES: Final = ("kernel", "app", "assets")
_ROOT_VARIABLE: Final = "BROWNOUT_FIRMWARE"
_DEFAULT_ROOT: Final = Path("build") / "firmware"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareBuild:
    """One built version: `folder` holds boot.elf, NAME.elf and NAME.bin."""

    version: str
    folder: Path

    @property
    def boot(self) -> Path:
        """The boot ROM's ELF file."""
        return self.folder / "boot.elf"

    def elf(self, module: str) -> Path:
        """ELF file of a code module."""
        return self.folder / f"{module}.elf"

    def image(self, module: str) -> bytes:
        """Image of a module. Raises BuildError when it was not built."""
        return _read(self.folder / f"{module}.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareBuilds:
    """Builds under one folder, which has a folder for each version."""

    root: Path

    @staticmethod
    def find() -> FirmwareBuilds:
        """The builds at $BROWNOUT_FIRMWARE, else in build/firmware. Raises BuildError when there are none."""
        root = Path(os.environ.get(_ROOT_VARIABLE, _DEFAULT_ROOT)).absolute()
        if not root.is_dir():
            raise BuildError(f"{root}: no firmware builds; run `make firmware` or set {_ROOT_VARIABLE}")
        return FirmwareBuilds(root=root)

    def version(self, version: str) -> FirmwareBuild:
        """The build of a version. Raises BuildError."""
        folder = self.root / version
        if not (folder / "boot.elf").is_file():
            raise BuildError(f"{folder}: firmware {version} is not built; run `make firmware`")
        return FirmwareBuild(version=version, folder=folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path}: cannot be read ({error.strerror}); run `make firmware`") from error
