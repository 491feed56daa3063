"""Content-addressed files: the name of a blob is the BLAKE2b-256 of its bytes."""

import re
from pathlib import Path

from fieldlink.atomic import write_file
from fieldlink.errors import NotFoundError, StoreError
from fieldlink.manifest import digest

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BlobStore:
    """Blobs under one directory. Writing is atomic and idempotent; reading checks the digest every time."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Where the blob with this hex digest lies."""
        if not _HEX_DIGEST.fullmatch(name):
            raise StoreError(f"store: {name!r:.80} is not a blob name: the database is damaged")
        return self._root / name[:2] / name

    def put(self, data: bytes) -> str:
        """Keeps `data` and returns its name. A damaged file under that name is replaced."""
        name = digest(data).hex()
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._intact(path, name):
                write_file(path, data)
        except OSError as error:
            raise StoreError(f"store: cannot write blob {path}: {error.strerror}") from error
        return name

    @staticmethod
    def _intact(path: Path, name: str) -> bool:
        try:
            return digest(path.read_bytes()).hex() == name
        except FileNotFoundError:
            return False

    def get(self, name: str) -> bytes:
        """Bytes of a blob.

        NotFoundError when it is gone, StoreError when its bytes are not what they were.
        """
        path = self.path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"store: blob {path} is missing; publish the release again") from error
        except OSError as error:
            raise StoreError(f"store: cannot read blob {path}: {error.strerror}") from error
        if digest(data).hex() != name:
            raise StoreError(f"store: blob {path} is damaged (digest differs); publish the release again")
        return data

    def names(self) -> set[str]:
        """Names of all blobs on disk."""
        return {path.name for path in self._root.glob("??/*") if _HEX_DIGEST.fullmatch(path.name)}

    def remove(self, name: str) -> None:
        """Forgets a blob, if it is there."""
        self.path(name).unlink(missing_ok=True)
