"""`fieldlink client`, `token`, `audit`: what they make, and one line with exit code 2 for bad input."""

import json
import sqlite3
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fieldlink.audit import AuditEntry, AuditEvent, mac_key
from fieldlink.cli.root import cli as main
from fieldlink.debug_messages import Permission
from fieldlink.keys import KeyUse, load_private_key, load_public_key
from fieldlink.store import Store
from fieldlink.token import open_token


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def good(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fieldlink: error: ")
    for word in words:
        assert word in line


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for use, name in (("server", "server"), ("fleet", "fleet"), ("client", "link"), ("client", "e2e")):
        good("keygen", use, tmp_path / f"{name}.key")
    return tmp_path


def add(site: Path, name: str = "alice", **changes: object) -> list[object]:
    values = {"store": site / "store", "key": site / "link.key.pub", "e2e-key": site / "e2e.key.pub"}
    return ["client", "add", name, *flat(values, changes)]


def issue(site: Path, **changes: object) -> list[object]:
    values = {
        "client": site / "e2e.key.pub",
        "device": "dev-1",
        "permissions": "read,control",
        "expires-in": "8h",
        "key": site / "fleet.key",
        "out": site / "alice.token",
    }
    return ["token", "issue", *flat(values, changes)]


def flat(values: dict[str, object], changes: dict[str, object]) -> list[object]:
    merged = values | {name.replace("_", "-"): value for name, value in changes.items()}
    arguments: list[object] = []
    for name, value in merged.items():
        if value is not None:
            arguments += [f"--{name}"] if value is True else [f"--{name}", value]
    return arguments


def test_clients_are_added_listed_and_removed(site):
    added = json.loads(good(*add(site), "--json").stdout)
    assert json.loads(good("client", "list", "--store", site / "store", "--json").stdout) == [added]
    assert added["e2e_public"] == load_public_key(site / "e2e.key.pub", KeyUse.CLIENT).hex()
    assert good("client", "list", "--store", site / "store").stdout.startswith("alice  link key ")
    refused(call(*add(site)), "alice", "registered already")
    refused(call(*add(site, "bob")), "another client")
    good("client", "remove", "alice", "--store", site / "store")
    assert good("client", "list", "--store", site / "store").stdout.strip() == "no clients"
    refused(call("client", "remove", "alice", "--store", site / "store"), "alice", "client list")


def test_bad_clients_are_refused_and_make_no_store(site):
    refused(call(*add(site, "bad name")), "client name")
    refused(call(*add(site, "x" * 33)), "client name")
    refused(call(*add(site, e2e_key=site / "link.key.pub")), "same key")
    refused(call(*add(site, key=site / "server.key.pub")), "server key", "expected a client key")
    refused(call(*add(site, key=site / "link.key")), "x25519-private")
    refused(call(*add(site, key=site / "nothing")), "cannot be read")
    assert not (site / "store").exists()


def test_a_token_is_issued_and_shown(site):
    before = int(time.time())
    issued = json.loads(good(*issue(site), "--json").stdout)
    fleet_public = load_public_key(site / "fleet.key.pub", KeyUse.FLEET)
    token = open_token((site / "alice.token").read_bytes(), fleet_public)
    assert token.permissions == Permission.READ | Permission.CONTROL
    assert token.device_id == b"dev-1"
    assert before + 8 * 3600 <= token.expires <= time.time() + 8 * 3600
    shown = json.loads(
        good("token", "show", site / "alice.token", "--fleet-key", site / "fleet.key.pub", "--json").stdout
    )
    assert shown["verified"] is True
    assert shown["expired"] is False
    assert {name: shown[name] for name in issued if name != "output"} == {
        name: value for name, value in issued.items() if name != "output"
    }
    text = good("token", "show", site / "alice.token").stdout
    assert "dev-1, may read,control, expires" in text
    assert "signature not checked" in text


def test_a_token_for_any_device_until_a_moment(site):
    good(*issue(site, device=None, any_device=True, expires_in=None, expires="2099-01-31T18:00:00Z"))
    text = good("token", "show", site / "alice.token", "--fleet-key", site / "fleet.key.pub").stdout
    assert "any device" in text
    assert "2099-01-31T18:00:00+00:00" in text
    assert "signature good" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": None}, ["--device ID or --any-device"]),
        ({"any_device": True}, ["--device ID or --any-device"]),
        ({"device": "x" * 17}, ["1..16"]),
        ({"device": "gerät"}, ["ASCII"]),
        ({"permissions": "read,fly"}, ["'fly'", "read, write, control, reset"]),
        ({"permissions": ""}, ["permission ''"]),
        ({"expires": "2099-01-01T00:00:00Z"}, ["--expires-in or --expires"]),
        ({"expires_in": None}, ["--expires-in or --expires"]),
        ({"expires_in": "8"}, ["'8'", "8h"]),
        ({"expires_in": "0s"}, ["after now"]),
        ({"expires_in": "999999999d"}, ["before 2106"]),
        ({"expires_in": None, "expires": "2001-01-01T00:00:00Z"}, ["after now"]),
        ({"expires_in": None, "expires": "2099-01-01T00:00:00"}, ["time zone"]),
        ({"expires_in": None, "expires": "tomorrow"}, ["'tomorrow'"]),
        ({"key": "e2e.key"}, ["expected a fleet key"]),
        ({"client": "fleet.key.pub"}, ["expected a client key"]),
        ({"out": "no/where"}, ["cannot be written"]),
    ],
)
def test_bad_tokens_are_not_issued(site, changes, words):
    paths = {name: site / value for name, value in changes.items() if name in ("key", "client", "out")}
    refused(call(*issue(site, **(changes | paths))), *words)
    assert not (site / "alice.token").exists()


def test_bad_token_files_are_refused(site):
    good(*issue(site))
    good("keygen", "fleet", site / "other.key")
    other = site / "other.key.pub"
    refused(call("token", "show", site / "alice.token", "--fleet-key", other), "fleet key")
    for name, content in (("empty", b""), ("garbage", b"\xff" * 50), ("large", bytes(500))):
        (site / name).write_bytes(content)
        refused(call("token", "show", site / name), "token")
    refused(call("token", "show", site / "nothing"), "cannot be read")


@pytest.fixture
def log(site: Path) -> Path:
    """A store with three entries."""
    key = mac_key(load_private_key(site / "server.key", KeyUse.SERVER).private)
    with Store.open(site / "store", create=True) as store:
        for number, event in enumerate((AuditEvent.OPENED, AuditEvent.ENDED, AuditEvent.REFUSED)):
            entry = AuditEntry(
                time_ms=1_700_000_000_000 + number,
                event=event,
                client="alice",
                device_id="dev-1" if number < 2 else "dev-2",
                session_id=b"\xab" * 16,
                permissions=5,
                token_serial=7,
                reason=None if number == 0 else 3,
                ended_by="" if number == 0 else "server",
            )
            store.audit.append(entry, key)
    return site / "store"


def test_the_audit_log_is_listed(log):
    lines = good("audit", "list", "--store", log).stdout.splitlines()
    assert lines[0] == "1  2023-11-14T22:13:20+00:00  alice  dev-1  abababab  opened (read,control)"
    assert "ended by the server: busy; 0 frames" in lines[1]
    assert "refused by the server: busy" in lines[2]
    listed = json.loads(good("audit", "list", "--store", log, "--device", "dev-2", "--json").stdout)
    assert [item["sequence"] for item in listed] == [3]
    assert listed[0]["to_device"] == {"frames": 0, "bytes": 0, "digest": ""}


def test_an_intact_log_is_exit_code_0(log, site):
    assert good("audit", "verify", "--store", log).stdout.startswith("intact: 3 entries")
    shown = json.loads(good("audit", "verify", "--store", log, "--key", site / "server.key", "--json").stdout)
    assert (shown["intact"], shown["entries"], shown["authenticated"]) == (True, 3, True)


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE audit SET client = 'bob' WHERE sequence = 2", 2),
        ("UPDATE audit SET time_ms = 9223372036854775807 WHERE sequence = 2", 2),
        ("DELETE FROM audit WHERE sequence = 1", 1),
        ("DELETE FROM audit WHERE sequence = 3", 3),
        ("DELETE FROM audit", 1),
    ],
)
def test_a_broken_log_is_exit_code_1_and_names_the_entry(log, statement, number):
    connection = sqlite3.connect(log / "fieldlink.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    result = call("audit", "verify", "--store", log)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert f"entry {number} " in line
    result = call("audit", "verify", "--store", log, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["entry"] == number
    good("audit", "list", "--store", log)  # shows what there is


def test_a_log_that_cannot_be_checked_is_exit_code_2(log, site):
    refused(call("audit", "verify", "--store", site / "nowhere"), "not there")
    refused(call("audit", "verify", "--store", log, "--key", site / "e2e.key"), "expected a server key")
    good("keygen", "server", site / "other.key")
    result = call("audit", "verify", "--store", log, "--key", site / "other.key")
    assert result.exit_code == 1
    assert "server key" in result.stderr


def test_serve_takes_a_fleet_key(site):
    good(*add(site))
    command = ["serve", "--store", site / "store", "--key", site / "server.key", "--port", 0]
    refused(call(*command, "--fleet-key", site / "e2e.key.pub"), "expected a fleet key")
