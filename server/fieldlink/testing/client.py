"""The device's side of an upgrade (PROTOCOL.md, section 4), as the firmware does it. Sans-IO."""

from dataclasses import dataclass, field

from fieldlink import messages
from fieldlink.errors import ManifestError, RemoteProtocolError
from fieldlink.gateway.upgrade import ReportCode
from fieldlink.manifest import Manifest, Module, check_dependencies, digest, open_envelope
from fieldlink.release import chunk_count, chunk_plain_size, open_chunk, unwrap_key


@dataclass(slots=True, kw_only=True)
class Installed:
    """What a simulated device has in flash; survives its power losses."""

    envelope: bytes = b""
    images: dict[int, bytes] = field(default_factory=dict)
    staged_digest: bytes = b""
    staged: dict[int, list[bytes]] = field(default_factory=dict)

    def sequence(self) -> int:
        """Security counter; 0 when nothing is installed."""
        return _parse(self.envelope).sequence if self.envelope else 0


def _parse(envelope: bytes) -> Manifest:
    from fieldlink.manifest import read_unverified

    return read_unverified(envelope)


class UpgradeClient:
    """Turns responses into requests; installs when every changed module is complete and correct."""

    def __init__(
        self,
        *,
        device_id: bytes,
        board: str,
        wrap_private: bytes,
        release_public: bytes,
        flash: Installed,
        boot_version: int = 1 << 24,
    ) -> None:
        self._device_id = device_id
        self._board = board
        self._wrap_private = wrap_private
        self._release_public = release_public
        self._boot_version = boot_version
        self.flash = flash
        self.finished = False
        """Nothing (more) to do in this session: up to date, installed, or refused."""
        self._target: Manifest | None = None
        self._envelope = b""
        self._content_key = b""
        self._pending: list[Module] = []
        self._sealed = bytearray()
        self.reported: int | None = None

    def check(self) -> messages.Check:
        """The first request."""
        return messages.Check(boot_version=self._boot_version, installed_envelope=self.flash.envelope)

    def handle(self, response: messages.UpgradeResponse) -> list[messages.UpgradeRequest]:
        """Requests that follow from `response`."""
        match response:
            case messages.Current():
                return self._on_current(response)
            case messages.Data():
                return self._on_data(response)
            case messages.Refused():
                self.finished = True
                return []

    def _report(self, sequence: int, code: ReportCode) -> list[messages.UpgradeRequest]:
        self.finished = True
        self.reported = code
        return [messages.Report(sequence=sequence, code=code)]

    def _on_current(self, current: messages.Current) -> list[messages.UpgradeRequest]:
        installed = self.flash.sequence()
        try:
            target = open_envelope(current.envelope, self._release_public)
        except ManifestError:
            return self._report(0, ReportCode.SIGNATURE)
        if target.sequence == installed:
            self.finished = True
            return []
        if target.sequence < installed:
            return self._report(target.sequence, ReportCode.ROLLBACK)
        if target.board != self._board:
            return self._report(target.sequence, ReportCode.BOARD_OR_REGION)
        try:
            check_dependencies(target)
        except ManifestError:
            return self._report(target.sequence, ReportCode.DEPENDENCY)
        try:
            self._content_key = unwrap_key(
                current.wrapped_key,
                wrap_private=self._wrap_private,
                device_id=self._device_id,
                sequence=target.sequence,
                key_id=target.key_id,
            )
        except RemoteProtocolError:
            return self._report(target.sequence, ReportCode.CONTENT_KEY)
        if self.flash.staged_digest != digest(current.envelope):
            self.flash.staged_digest, self.flash.staged = digest(current.envelope), {}
        self._target, self._envelope = target, current.envelope
        images = self.flash.images
        self._pending = [
            module for module in target.modules if digest(images.get(module.id, b"")) != module.digest
        ]
        return self._next()

    def _next(self) -> list[messages.UpgradeRequest]:
        target = self._target
        if target is None:
            return []
        while self._pending:
            module = self._pending[0]
            chunks = self.flash.staged.setdefault(module.id, [])
            if len(chunks) < chunk_count(module.image_size):
                self._sealed.clear()
                return [
                    messages.Fetch(sequence=target.sequence, module_id=module.id, first_chunk=len(chunks))
                ]
            if digest(b"".join(chunks)) != module.digest:
                return self._report(target.sequence, ReportCode.DIGEST)
            self._pending.pop(0)
        for module_id, chunks in self.flash.staged.items():
            self.flash.images[module_id] = b"".join(chunks)
        self.flash.envelope = self._envelope
        self.flash.staged, self.flash.staged_digest = {}, b""
        return self._report(target.sequence, ReportCode.INSTALLING)

    def _on_data(self, data: messages.Data) -> list[messages.UpgradeRequest]:
        target = self._target
        if target is None or not self._pending or self.finished:
            return []
        module = self._pending[0]
        chunks = self.flash.staged[module.id]
        if (data.module_id, data.chunk, data.offset) != (module.id, len(chunks), len(self._sealed)):
            raise RemoteProtocolError("data out of order")
        self._sealed += data.data
        if len(self._sealed) < chunk_plain_size(module.image_size, data.chunk) + 16:
            return []
        try:
            plain = open_chunk(
                bytes(self._sealed),
                module_id=module.id,
                chunk=data.chunk,
                sequence=target.sequence,
                image_size=module.image_size,
                content_key=self._content_key,
            )
        except RemoteProtocolError:
            return self._report(target.sequence, ReportCode.CHUNK_AUTHENTICATION)
        chunks.append(plain)
        self._sealed.clear()
        return self._next() if len(chunks) == chunk_count(module.image_size) else []
