"""What a lab's server saw, in words: who told whom."""

from __future__ import annotations

import typing

import cbor2

from brownout.evidence import Lane, TimelineKind
from brownout.lab.server import TimedEvent
from brownout.lab.story import server_story
from fieldlink.gateway import (
    CheckReceived,
    DebugSessionEnded,
    DeviceOffline,
    DeviceOnline,
    GatewayEvent,
    HandshakeRejected,
    ReportReceived,
    TelemetryReceived,
)


def story(*events: GatewayEvent) -> list[tuple[Lane, Lane, str]]:
    timed = [TimedEvent(time_s=float(number), event=event) for number, event in enumerate(events)]
    return [(told.source, told.target, told.text) for told in server_story(timed, "dev-1")]


def test_a_device_tells_the_server() -> None:
    check = CheckReceived(
        device_id="dev-1", boot_version=1, installed_sequence=1, current_sequence=2, wanted=(1,)
    )
    report = ReportReceived(device_id="dev-1", sequence=2, code=3)
    told = story(DeviceOnline(device_id="dev-1", peer="a"), check, report)
    assert {(source, target) for source, target, _ in told} == {(Lane.DEVICE, Lane.SERVER)}
    assert told[1][2] == "check: runs release 1, 2 is published"
    assert told[2][2].startswith("reports release 2: ")


def test_other_devices_are_left_out_and_what_concerns_nobody_is_not() -> None:
    told = story(DeviceOffline(device_id="dev-2", reason="x"), HandshakeRejected(peer="b", reason="bad key"))
    assert told == [(Lane.SERVER, Lane.SERVER, "handshake rejected: bad key")]


def test_a_note_is_of_one_lane_alone() -> None:
    timed = TimedEvent(time_s=1.5, event=DeviceOffline(device_id="dev-1", reason="timeout"))
    (event,) = server_story([timed], "dev-1")
    assert (event.kind, event.moment_s) == (TimelineKind.NOTE, 1.5)


def test_an_unknown_number_is_named_as_it_is() -> None:
    ended = DebugSessionEnded(
        client="alice",
        device_id="dev-1",
        session_id=b"1",
        reason=99,
        ended_by="device",
        frames_to_device=1,
        bytes_to_device=20,
        frames_to_client=1,
        bytes_to_client=30,
    )
    assert story(ended) == [
        (
            Lane.SERVER,
            Lane.CLIENT,
            "debug session ended by device: code 99; 20 bytes to the device, 30 to the client",
        )
    ]


def test_telemetry_that_is_no_measurement_is_counted() -> None:
    good = TelemetryReceived(device_id="dev-1", payload=cbor2.dumps([1, 4, 500, 9]))
    told = story(good, TelemetryReceived(device_id="dev-1", payload=b"xy"))
    assert [text for _, _, text in told] == ["measurement 4", "2 bytes of the application"]


def test_every_event_of_the_gateway_has_words() -> None:
    """An event that falls through is named by its class, which no person wants to read."""
    for kind in typing.get_args(GatewayEvent):
        values = {
            field.name: b"" if "bytes" in str(field.type) else () if "tuple" in str(field.type) else 1
            for field in kind.__dataclass_fields__.values()
        } | ({"device_id": "dev-1"} if "device_id" in kind.__dataclass_fields__ else {})
        ((_, _, text),) = story(kind(**values))
        assert text != kind.__name__
