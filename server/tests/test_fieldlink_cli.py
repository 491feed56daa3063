"""The command line: what it makes, and one line with exit code 2 for every bad input."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fieldlink.cli.root import cli as main

LAYOUT = """
board = "test-board"

[modules.kernel]
id = 1
kind = 1
region_offset = 0x20000
region_size = 0x20000

[modules.app]
id = 2
kind = 2
region_offset = 0x40000
region_size = 0x10000
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def good(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with keys, a layout and module images; no store yet."""
    for use in ("server", "release", "fleet"):
        good("keygen", use, tmp_path / "keys" / f"{use}.key")
    (tmp_path / "layout.toml").write_text(LAYOUT)
    (tmp_path / "kernel.bin").write_bytes(b"kernel" * 1000)
    (tmp_path / "app.bin").write_bytes(b"app" * 1000)
    return tmp_path


def publish_arguments(site: Path, **changes: object) -> list[object]:
    values: dict[str, object] = {
        "--store": site / "store",
        "--board": "test-board",
        "--sequence": 1,
        "--key": site / "keys" / "release.key",
        "--layout": site / "layout.toml",
    }
    kernel = changes.pop("kernel", f"kernel:1.1.0:{site / 'kernel.bin'}")
    app = changes.pop("app", f"app:1.0.0:{site / 'app.bin'}")
    values |= {f"--{name.rstrip('_')}": value for name, value in changes.items()}
    flat: list[object] = ["release", "publish"]
    for name, value in values.items():
        flat += [name, value]
    for module in (kernel, app):
        flat += ["--module", module] if module else []
    return flat


def provision_arguments(site: Path, device_id: str = "dev-1", **changes: object) -> list[object]:
    values: dict[str, object] = {
        "--store": site / "store",
        "--board": "test-board",
        "--keys": site / "keys",
        "--out": site / f"{device_id}.identity",
    }
    values |= {f"--{name}": value for name, value in changes.items()}
    flat: list[object] = ["provision", device_id]
    for name, value in values.items():
        flat += [name, value]
    return flat


def refused(result: Result, *words: str) -> None:
    """Exit code 2, one line of our own, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fieldlink: error: ")
    for word in words:
        assert word in lines[0]


def test_the_way_from_nothing_to_a_release(site):
    device = json.loads(good(*provision_arguments(site), "--json").stdout)
    identity = (site / "dev-1.identity").read_bytes()
    assert len(identity) == 256
    assert (site / "dev-1.identity").stat().st_mode & 0o777 == 0o600
    assert len(device["link_public"]) == 64
    published = json.loads(good(*publish_arguments(site), "--depends", "app:kernel>=1.1.0", "--json").stdout)
    assert [module["version"] for module in published["modules"]] == ["1.1.0", "1.0.0"]
    listed = json.loads(good("release", "list", "--store", site / "store", "--json").stdout)
    assert listed == [published]
    assert "content" not in json.dumps(listed)
    devices = json.loads(good("devices", "--store", site / "store", "--json").stdout)
    assert devices[0]["device_id"] == "dev-1"
    assert devices[0]["last_seen"] is None
    assert "dev-1  test-board  never seen" in good("devices", "--store", site / "store").stdout
    assert "kernel 1.1.0" in good("release", "list", "--store", site / "store").stdout


def test_keys_are_private_and_not_overwritten(site):
    path = site / "keys" / "server.key"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    refused(call("keygen", "server", path), "exists already", "--force")
    assert path.read_bytes() == before
    good("keygen", "server", path, "--force")
    assert path.read_bytes() != before
    assert (
        json.loads(path.read_text())["check"]
        == json.loads((site / "keys" / "server.key.pub").read_text())["check"]
    )


def test_wrong_key_files_are_named(site):
    keys = site / "keys"
    damaged, truncated, other, deep = (site / name for name in ("damaged", "truncated", "other", "deep"))
    fields = json.loads((keys / "release.key").read_text())
    damaged.write_text(json.dumps(fields | {"key": "00" * 32}))
    truncated.write_text((keys / "release.key").read_text()[:60])
    other.write_bytes(b"-----BEGIN PRIVATE KEY-----\n\xff\n")
    deep.write_text("[" * 4000)
    cases = [
        (keys / "server.key", ["server key of type x25519-private", "expected a release key"]),
        (keys / "fleet.key", ["fleet key of type ed25519-private"]),
        (keys / "release.key.pub", ["ed25519-public"]),
        (site / "nothing.key", ["cannot be read", "nothing.key"]),
        (site, ["cannot be read"]),
        (damaged, ["damaged"]),
        (truncated, ["truncated"]),
        (other, ["not a key file"]),
        (deep, ["cannot be understood"]),
        (site / "kernel.bin", ["larger than"]),
    ]
    for path, words in cases:
        refused(call(*publish_arguments(site, key=path)), *words)
    assert not (site / "store").exists()


def test_bad_releases_are_refused_and_leave_nothing(site):
    good(*publish_arguments(site, sequence=5))
    before = sorted((site / "store" / "blobs").rglob("*"))
    large = site / "large.bin"
    large.write_bytes(bytes(0x10001))
    empty = site / "empty.bin"
    empty.write_bytes(b"")
    cases = [
        ({"sequence": 5}, ["sequence 5", "at least 6"]),
        ({"sequence": 0}, ["sequence 0"]),
        ({"sequence": 6, "app": f"app:1.0.0:{large}"}, ["larger than 65536"]),
        ({"sequence": 6, "app": f"app:1.0.0:{empty}"}, ["0 bytes"]),
        ({"sequence": 6, "app": f"app:1.0:{site / 'app.bin'}"}, ["version '1.0'", "MAJOR.MINOR.PATCH"]),
        ({"sequence": 6, "app": f"app:1.0.0:{site / 'missing.bin'}"}, ["missing.bin", "cannot be read"]),
        ({"sequence": 6, "app": "app"}, ["NAME:VERSION:FILE"]),
        ({"sequence": 6, "app": f"apps:1.0.0:{site / 'app.bin'}"}, ["apps", "kernel, app"]),
        ({"sequence": 6, "app": None}, ["lacks app"]),
        ({"sequence": 6, "board": "other"}, ["the layout is for board 'test-board'"]),
        ({"sequence": 6, "depends": "app:kernel>=1.2.0"}, ["needs module 1 in version 1.2.0"]),
        ({"sequence": 6, "depends": "app>kernel"}, ["NAME:OTHER>=VERSION"]),
        ({"sequence": 6, "depends": "assets:kernel>=1.0.0"}, ["which no --module gives"]),
    ]
    for changes, words in cases:
        refused(call(*publish_arguments(site, **changes)), *words)
    assert sorted((site / "store" / "blobs").rglob("*")) == before
    assert len(json.loads(good("release", "list", "--store", site / "store", "--json").stdout)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[modules.kernel", ["not valid TOML"]),
        ("", ["[modules.NAME]"]),
        (LAYOUT.replace("region_size = 0x20000", "regionsize = 0x20000"), ["regionsize", "'region_size'"]),
        (LAYOUT.replace("id = 2", "id = 1"), ["same id"]),
        (LAYOUT.replace("0x40000", "0x30000"), ["overlap"]),
        (LAYOUT.replace("kind = 2", "kind = 9"), ["kind 9"]),
        (LAYOUT.replace("kind = 2", 'kind = "two"'), ["kind is missing"]),
        (LAYOUT.replace("id = 1", "id = 0"), ["at least 1"]),
        ("modules = 3", ["[modules.NAME]"]),
    ],
)
def test_bad_layouts_are_refused(site, text, words):
    (site / "layout.toml").write_text(text)
    refused(call(*publish_arguments(site)), "layout", *words)


def test_bad_provisioning_is_refused_and_leaves_nothing(site):
    good(*provision_arguments(site))
    identity = (site / "dev-1.identity").read_bytes()
    refused(call(*provision_arguments(site)), "exists already")
    refused(call(*provision_arguments(site, out=site / "again.identity")), "registered already")
    assert not (site / "again.identity").exists()
    refused(call(*provision_arguments(site, "dev 2")), "device id")
    refused(call(*provision_arguments(site, "dev-2", out=site / "no" / "where")), "cannot be written")
    refused(call(*provision_arguments(site, "dev-2", keys=site)), "server.key.pub", "cannot be read")
    assert (site / "dev-1.identity").read_bytes() == identity
    good(*provision_arguments(site), "--replace")
    assert (site / "dev-1.identity").read_bytes() != identity


def test_a_damaged_store_is_refused(site):
    good(*publish_arguments(site))
    blob = next(path for path in (site / "store" / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"x")
    serve = ["serve", "--store", site / "store", "--key", site / "keys" / "server.key", "--port", 0]
    for command in (["release", "list", "--store", site / "store"], serve):
        refused(call(*command), "damaged", "publish the release again")
    for path in (site / "store").glob("fieldlink.db*"):
        path.write_bytes(b"garbage" * 1000)
    for command in (["devices", "--store", site / "store"], serve, publish_arguments(site, sequence=2)):
        refused(call(*command), "fieldlink.db")
    refused(call("devices", "--store", site / "nowhere"), "not there")
    refused(call("serve", "--store", site / "nowhere", *serve[3:]), "not there")
    assert not (site / "nowhere").exists()
    refused(call("devices", "--store", site / "store", "--database", "nosuch://x"), "database URL")


def test_a_port_in_use_is_refused(site):
    good(*provision_arguments(site))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ready = site / "ready.json"
        command = ["serve", "--store", site / "store", "--key", site / "keys" / "server.key", "--port", port]
        result = call(*command, "--ready-file", ready, "--log-level", "error")
        refused(result, f"127.0.0.1:{port}", "in use", "--port")
        assert not ready.exists()


def test_unknown_options_and_wrong_numbers_end_with_2(site):
    assert call("serve", "--nonsense").exit_code == 2
    assert call("release", "publish").exit_code == 2
    refused(
        call("serve", "--store", site / "s", "--key", site / "keys" / "server.key", "--port", 70000), "70000"
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["keygen"],
        ["provision"],
        ["release"],
        ["release", "publish"],
        ["release", "list"],
        ["serve"],
        ["devices"],
        ["client", "add"],
        ["client", "list"],
        ["client", "remove"],
        ["token", "issue"],
        ["token", "show"],
        ["audit", "list"],
        ["audit", "verify"],
    ],
)
def test_help_shows_how(command):
    text = good(*command, "--help").stdout
    assert command in ([], ["release"]) or "Example" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_listens_and_ends_cleanly(site, number):
    good(*provision_arguments(site))
    ready = site / "ready.json"
    command = [
        sys.executable,
        "-c",
        "from fieldlink.cli import main; main()",
        "serve",
        "--store",
        site / "store",
        "--key",
        site / "keys" / "server.key",
        "--port",
        "0",
        "--json",
        "--ready-file",
        ready,
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        assert json.loads(ready.read_text()) == {"host": "127.0.0.1", "port": listening["port"]}
        with socket.create_connection(("127.0.0.1", listening["port"]), timeout=5):
            process.send_signal(number)
            _, stderr = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert not ready.exists()
