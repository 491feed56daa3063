"""The gateway over real TCP, with simulated devices."""

import asyncio
from dataclasses import replace

import pytest

from fieldlink.errors import StoreError
from fieldlink.gateway import (
    CheckReceived,
    DeviceOffline,
    DeviceOnline,
    FetchRefused,
    Gateway,
    ModuleRequested,
    ModuleServed,
    RefusedCode,
    ReportCode,
    ReportReceived,
    StoreFault,
    TelemetryReceived,
)
from fieldlink.mux import Channel
from fieldlink.release import blob_size, chunk_count
from fieldlink.testing import SimulatedDevice

HOST = "127.0.0.1"


def run(coroutine):
    async def limited():
        async with asyncio.timeout(30):
            await coroutine

    asyncio.run(limited())


def gateway_for(fleet, releases=None, **changes) -> Gateway:
    return Gateway(config=fleet.config(**changes), registry=fleet.store, releases=releases or fleet.store)


def is_report(code: int):
    return lambda event: isinstance(event, ReportReceived) and event.code == code


def test_a_device_downloads_everything_and_installs_it(fleet, event_log, make_images):
    release = fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            await log.wait(is_report(ReportCode.INSTALLING))
            await log.wait(lambda event: isinstance(event, DeviceOffline))
            kinds = [type(event) for event in log.events if not isinstance(event, TelemetryReceived)]
            assert kinds[:2] == [DeviceOnline, CheckReceived]
            assert kinds.count(ModuleRequested) == kinds.count(ModuleServed) == 3
            (check,) = log.of(CheckReceived)
            assert (check.installed_sequence, check.current_sequence) == (None, 1)
            assert check.wanted == (1, 2, 3)
            counters = gateway.counters("dev-1")
            sizes = {item.module_id: blob_size(item.image_size) for item in release.modules}
            assert counters.module_bytes == sizes
            assert counters.sessions == 1
            assert counters.channel_bytes_out[Channel.UPGRADE] > sum(sizes.values())
            assert counters.stream_bytes_out > counters.channel_bytes_out[Channel.UPGRADE]
            telemetry = gateway.telemetry("dev-1")
            assert telemetry.count == counters.channel_messages_in[Channel.APPLICATION]
            assert telemetry.count > 20
            assert telemetry.count == len(telemetry.messages)

    run(scenario())
    assert device.flash.sequence() == 1
    assert device.flash.images == {1 + at: item.image for at, item in enumerate(make_images())}
    state = fleet.store.device_state("dev-1")
    assert (state.report_sequence, state.report_code) == (1, ReportCode.INSTALLING)
    assert state.telemetry_count > 20
    assert state.stream_bytes_out > 33_000
    assert state.last_seen is not None


def test_unchanged_modules_do_not_travel(fleet, event_log, make_images):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            await device.run(HOST, gateway.port)
            before = gateway.counters("dev-1").module_bytes
            release = fleet.publish(2, make_images(app="1.1.0"))
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            await log.wait(is_report(ReportCode.INSTALLING))
            after = gateway.counters("dev-1").module_bytes
            changed = {key: after[key] - before[key] for key in after}
            assert changed == {1: 0, 2: blob_size(release.modules[1].image_size), 3: 0}
            check = log.of(CheckReceived)[0]
            assert (check.installed_sequence, check.current_sequence, check.wanted) == (1, 2, (2,))
            await device.run(HOST, gateway.port)  # up to date now: nothing travels
            assert gateway.counters("dev-1").module_bytes == after

    run(scenario())
    assert device.flash.sequence() == 2


def test_an_interrupted_download_resumes_at_its_chunk(fleet, event_log):
    release = fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port, until=lambda it: len(it.flash.staged.get(1, [])) == 3)
            await log.wait(lambda event: isinstance(event, DeviceOffline))
            first_life = device.data_messages
            await device.run(HOST, gateway.port)
            await log.wait(is_report(ReportCode.INSTALLING))
            starts = [(event.module_id, event.first_chunk) for event in log.of(ModuleRequested)]
            assert starts == [(1, 0), (1, 3), (2, 0), (3, 0)]
            pieces = sum(5 * chunk_count(item.image_size) for item in release.modules)
            assert device.data_messages - first_life < pieces - 3 * 5 + 1

    run(scenario())
    assert device.flash.sequence() == 1


def test_a_new_fetch_replaces_the_stream_before(fleet):
    """The device changes its mind after the first piece: what is under way ends, the new stream is whole."""
    release = fleet.publish(1)
    service_device = fleet.provision("dev-1").record
    from fieldlink.gateway.upgrade import UpgradeSession
    from fieldlink.messages import Fetch, Refused

    session = UpgradeSession(service_device)
    session.check(None, release)
    for module_id in (1, 2):
        module = session.fetch(Fetch(sequence=1, module_id=module_id, first_chunk=0))
        assert not isinstance(module, Refused)
        session.start(module, fleet.store.read_blob(module.blob), 0)
        assert session.next_data().module_id == module_id
    received = b""
    while data := session.next_data():
        assert data.module_id == 2
        received += data.data
    assert received == fleet.store.read_blob(release.modules[1].blob)[960:]
    # A check that is answered with the same release leaves a running stream alone, a newer release ends it.
    session.start(module, fleet.store.read_blob(module.blob), 2)
    session.check(None, release)
    assert session.streaming
    session.check(None, replace(release, sequence=2))
    assert not session.streaming


def fetcher(device: SimulatedDevice, sequence: int, module_id: int, chunk: int) -> SimulatedDevice:
    """Makes the device answer the first `current` with this fetch instead of its own."""
    from fieldlink import messages

    make = device._new_upgrade

    def altered():
        client = make()
        handle = client.handle

        def handle_altered(response):
            if isinstance(response, messages.Current):
                return [messages.Fetch(sequence=sequence, module_id=module_id, first_chunk=chunk)]
            return handle(response)

        client.handle = handle_altered
        return client

    device._new_upgrade = altered
    return device


@pytest.mark.parametrize(
    ("sequence", "module_id", "chunk", "code"),
    [
        (1, 1, 5, RefusedCode.NO_SUCH_CHUNK),
        (1, 4, 0, RefusedCode.NO_SUCH_CHUNK),
        (2, 1, 0, RefusedCode.NO_SUCH_RELEASE),
        (0, 1, 0, RefusedCode.NO_SUCH_RELEASE),
    ],
)
def test_requests_for_what_there_is_not_are_refused(fleet, event_log, sequence, module_id, chunk, code):
    fleet.publish(1)
    device = fetcher(fleet.device(), sequence, module_id, chunk)

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            event = await log.wait(lambda event: isinstance(event, FetchRefused))
            assert (event.module_id, event.code) == (module_id, code)
            assert gateway.counters("dev-1").module_bytes == {}

    run(scenario())
    assert [(item.module_id, item.code) for item in device.refused] == [(module_id, code)]


def test_an_unwanted_module_is_refused(fleet, event_log, make_images):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            await device.run(HOST, gateway.port)
            before = gateway.counters("dev-1").module_bytes
            fleet.publish(2, make_images(app="1.1.0"))
            await fetcher(device, 2, 1, 0).run(HOST, gateway.port)
            assert gateway.counters("dev-1").module_bytes == before

    run(scenario())
    assert [(item.module_id, item.code) for item in device.refused] == [(1, RefusedCode.NOT_WANTED)]


def test_nothing_published_is_refused(fleet):
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            await device.run(HOST, gateway.port)

    run(scenario())
    assert [(item.module_id, item.code) for item in device.refused] == [(0, RefusedCode.NO_SUCH_RELEASE)]


class Tampered:
    """A release source that serves something else than the store: what an attacker in the server could do."""

    def __init__(self, fleet, **changes) -> None:
        self.fleet = fleet
        self.changes = changes

    def newest_release(self, board):
        release = self.changes.get("release") or self.fleet.store.newest_release(board)
        if "envelope_byte" in self.changes:
            at = self.changes["envelope_byte"]
            envelope = release.envelope[:at] + bytes([release.envelope[at] ^ 1]) + release.envelope[at + 1 :]
            release = replace(release, envelope=envelope)
        return release

    def read_blob(self, name):
        blob = self.fleet.store.read_blob(name)
        at = self.changes.get("blob_byte")
        return blob if at is None else blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"envelope_byte": 40}, ReportCode.SIGNATURE), ({"blob_byte": 5000}, ReportCode.CHUNK_AUTHENTICATION)],
)
def test_tampered_releases_are_reported_and_not_installed(fleet, event_log, changes, code):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet, Tampered(fleet, **changes)) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            await log.wait(is_report(code))

    run(scenario())
    assert device.flash.images == {}


def test_a_replayed_older_release_is_refused_by_the_device(fleet, event_log, make_images):
    old = fleet.publish(1)
    fleet.publish(2, make_images(app="1.1.0"))
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            await device.run(HOST, gateway.port)
        async with gateway_for(fleet, Tampered(fleet, release=old)) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            event = await log.wait(is_report(ReportCode.ROLLBACK))
            assert event.sequence == 1

    run(scenario())
    assert device.flash.sequence() == 2


def test_a_damaged_store_refuses_and_says_so(fleet, event_log):
    release = fleet.publish(1)
    path = fleet.store.blobs.path(release.modules[0].blob)
    path.write_bytes(path.read_bytes()[:-1])
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            event = await log.wait(lambda event: isinstance(event, StoreFault))
            assert "damaged" in event.reason

    run(scenario())
    assert [item.code for item in device.refused] == [RefusedCode.UNAVAILABLE]
    assert device.flash.images == {}


def test_a_store_that_fails_in_a_check_refuses_too(fleet):
    class Broken(Tampered):
        def newest_release(self, board):
            raise StoreError("store: gone")

    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet, Broken(fleet)) as gateway:
            await device.run(HOST, gateway.port)

    run(scenario())
    assert [item.code for item in device.refused] == [RefusedCode.UNAVAILABLE]
