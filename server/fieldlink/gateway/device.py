"""What the gateway does for a device on a proven session: telemetry, upgrades, its end of debug sessions."""

import time
from collections import deque

from fieldlink import messages
from fieldlink.errors import RemoteProtocolError, StoreError
from fieldlink.gateway import events
from fieldlink.gateway.ports import Aborting, Hub, Port
from fieldlink.gateway.threads import in_thread
from fieldlink.gateway.upgrade import RefusedCode, UpgradeSession, installed_manifest
from fieldlink.manifest import digest
from fieldlink.mux import Channel
from fieldlink.store import DeviceRecord

_REPLIES_LIMIT = 8


class DeviceService:
    """One session of one device. Making it is what puts the device online."""

    def __init__(
        self, *, hub: Hub, port: Port, connection: Aborting, device: DeviceRecord, peer: str
    ) -> None:
        self.name = device.device_id
        self._hub = hub
        self._port = port
        self._connection = connection
        self._device = device
        self._upgrade = UpgradeSession(device)
        self._replies: deque[bytes] = deque()
        self._tally = hub.tally(device.device_id)
        self._tally.sessions += 1
        hub.online(device.device_id, connection)  # takes an older connection, and its debug link, away
        self._debug_link = None if hub.debug is None else hub.debug.attach_device(device.device_id, port)
        hub.emit(events.DeviceOnline(device_id=device.device_id, peer=peer))

    def down(self, reason: str) -> None:
        """See PeerService."""
        if self._hub.debug is not None and self._debug_link is not None:
            self._hub.debug.detach(self._debug_link)
        self._hub.offline(self._device.device_id, self._connection)
        self._hub.emit(events.DeviceOffline(device_id=self._device.device_id, reason=reason))

    def count_stream(self, received: int, sent: int) -> None:
        """See PeerService."""
        self._tally.stream_in += received
        self._tally.stream_out += sent

    async def on_message(self, channel: Channel, payload: bytes) -> None:
        """See PeerService."""
        self._tally.received(channel, len(payload))
        if channel is Channel.DEBUG and self._hub.debug is not None and self._debug_link is not None:
            await self._hub.debug.receive(self._debug_link, payload)
            return
        # Given back before the answer is made: the answer may wait for the device, the credit must not.
        self._port.consume(channel, len(payload))
        if channel is Channel.APPLICATION:
            self._on_telemetry(payload)
        elif channel is Channel.UPGRADE:
            await self._on_upgrade(payload)
        else:
            self._port.log.info("message on %s, which nobody serves", channel.name.lower())

    def _on_telemetry(self, payload: bytes) -> None:
        tally = self._tally
        tally.telemetry.append(payload)
        tally.telemetry_count += 1
        self._hub.emit(events.TelemetryReceived(device_id=self._device.device_id, payload=payload))

    # ---- upgrade service

    async def _on_upgrade(self, payload: bytes) -> None:
        try:
            request = messages.decode_upgrade_request(payload)
        except RemoteProtocolError as error:
            self._port.fail(str(error))
            return
        match request:
            case messages.Check():
                await self._on_check(request)
            case messages.Fetch():
                await self._on_fetch(request)
            case messages.Report(sequence=sequence, code=code):
                self._port.log.info("report: sequence %d, code %d", sequence, code)
                await self._note(report=(sequence, code))
                self._hub.emit(
                    events.ReportReceived(device_id=self._device.device_id, sequence=sequence, code=code)
                )

    async def _on_check(self, check: messages.Check) -> None:
        if self._hub.debug is not None and self._debug_link is not None:
            self._hub.debug.note_manifest(self._debug_link, digest(check.installed_envelope))
        try:
            newest = await in_thread(
                self._hub.config.store_timeout_s, self._hub.releases.newest_release, self._device.board
            )
        except StoreError as error:
            self._fault(0, error)
            return
        installed = installed_manifest(check)
        answer = self._upgrade.check(installed, newest)
        event = events.CheckReceived(
            device_id=self._device.device_id,
            boot_version=check.boot_version,
            installed_sequence=None if installed is None else installed.sequence,
            current_sequence=None if newest is None else newest.sequence,
            wanted=self._upgrade.wanted,
        )
        self._port.log.info(
            "check: has %s, current %s, lacks modules %s",
            event.installed_sequence,
            event.current_sequence,
            list(event.wanted),
        )
        await self._note(boot_version=check.boot_version, installed_sequence=event.installed_sequence)
        self._reply(answer)
        self._hub.emit(event)

    async def _on_fetch(self, fetch: messages.Fetch) -> None:
        module = self._upgrade.fetch(fetch)
        if isinstance(module, messages.Refused):
            self._refuse(module)
            return
        try:
            blob = await in_thread(
                self._hub.config.store_timeout_s, self._hub.releases.read_blob, module.blob
            )
            self._upgrade.start(module, blob, fetch.first_chunk)
        except StoreError as error:
            self._fault(fetch.module_id, error)
            return
        self._port.log.info("fetch: module %d from chunk %d", fetch.module_id, fetch.first_chunk)
        self._hub.emit(
            events.ModuleRequested(
                device_id=self._device.device_id,
                sequence=fetch.sequence,
                module_id=fetch.module_id,
                first_chunk=fetch.first_chunk,
            )
        )

    def _fault(self, module_id: int, error: StoreError) -> None:
        self._port.log.error("store fault: %s", error)
        self._hub.emit(events.StoreFault(device_id=self._device.device_id, reason=str(error)))
        self._refuse(messages.Refused(module_id=module_id, code=RefusedCode.UNAVAILABLE))

    def _refuse(self, refused: messages.Refused) -> None:
        self._port.log.warning("refused: module %d, code %d", refused.module_id, refused.code)
        self._reply(refused)
        self._hub.emit(
            events.FetchRefused(
                device_id=self._device.device_id, module_id=refused.module_id, code=refused.code
            )
        )

    def _reply(self, message: messages.UpgradeResponse) -> None:
        if len(self._replies) >= _REPLIES_LIMIT:
            self._port.fail("asks faster than it takes answers")
            return
        self._replies.append(messages.encode(message))

    def pump(self) -> None:
        """See PeerService: answers first, then the running stream."""
        if self._hub.debug is not None and self._debug_link is not None:
            self._hub.debug.push(self._debug_link)
        while self._port.has_room(Channel.UPGRADE):
            if self._replies:
                payload = self._replies.popleft()
            elif (data := self._upgrade.next_data()) is not None:
                payload = messages.encode(data)
                self._tally.module_bytes[data.module_id] += len(data.data)
                if not self._upgrade.streaming and self._upgrade.release is not None:
                    self._served(self._upgrade.release.sequence, data.module_id)
            else:
                return
            self._port.send(Channel.UPGRADE, payload)
            self._tally.sent(Channel.UPGRADE, len(payload))

    def _served(self, sequence: int, module_id: int) -> None:
        self._port.log.info("module %d served", module_id)
        self._hub.emit(
            events.ModuleServed(device_id=self._device.device_id, sequence=sequence, module_id=module_id)
        )

    # ---- notes in the registry

    async def _note(
        self,
        *,
        boot_version: int | None = None,
        installed_sequence: int | None = None,
        report: tuple[int, int] | None = None,
    ) -> None:
        try:
            await in_thread(
                self._hub.config.store_timeout_s,
                self._hub.registry.update_device,
                self._device.device_id,
                last_seen=time.time(),
                boot_version=boot_version,
                installed_sequence=installed_sequence,
                report=report,
            )
        except StoreError as error:  # what devices need does not depend on our notes
            self._port.log.warning("not noted: %s", error)
