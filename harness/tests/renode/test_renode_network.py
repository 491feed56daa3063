"""Nobody outside reaches Renode: a network of its own, or no listener that others could reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from brownout.cli.root import cli
from brownout.engines.renode import LISTENERS_VARIABLE, network
from brownout.engines.renode.machine import RenodeMachine
from brownout.engines.renode.network import listeners_allowed
from brownout.engines.renode.pool import RenodePool
from brownout.engines.renode.process import RenodeProcess, Start
from brownout.errors import EngineError

from .conftest import TERMINALS, FakeFactory, log_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from brownout.board import Board

LISTEN = "def other(line): listen(*eval(line))"
"""A command is where to listen."""


@pytest.fixture
def start(fake_renode: FakeFactory, tmp_path: Path) -> Iterator[Callable[..., RenodeProcess]]:
    made: list[RenodeProcess] = []

    def begin(*, launcher: bool = False, listeners: bool = False) -> RenodeProcess:
        fake = fake_renode(LISTEN)
        program = fake.behind_launcher() if launcher else fake.program
        folder = tmp_path / "folder"
        folder.mkdir()
        made.append(RenodeProcess(Start(program=str(program), folder=folder, listeners=listeners)))
        return made[-1]

    yield begin
    for process in made:
        process.quit()


def listen(process: RenodeProcess, where: str) -> int:
    return int(process.execute(where).removeprefix("port "))


def network_of(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - no path that exists


@pytest.mark.usefixtures("own_network")
def test_it_has_a_network_of_its_own_with_nothing_in_it(start: Callable[..., RenodeProcess]) -> None:
    process = start()
    assert network_of(process.pid) != network_of("self")
    interfaces = Path(f"/proc/{process.pid}/net/dev").read_text().splitlines()[2:]
    assert all(line.split(":")[0].strip() in ("lo", "sit0", "tunl0", "ip6tnl0") for line in interfaces)
    # So what it listens on reaches nobody.
    listen(process, "('0.0.0.0',)")
    process.refuse_listeners()


@pytest.mark.usefixtures("shared_network")
@pytest.mark.parametrize("launcher", [False, True], ids=["direct", "launcher"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_listener_that_others_reach_is_refused(
    start: Callable[..., RenodeProcess], kind: str, *, launcher: bool
) -> None:
    process = start(launcher=launcher)
    assert network_of(process.pid) == network_of("self")
    process.refuse_listeners()
    port = listen(process, "('0.0.0.0',)" if kind == "tcp" else "('0.0.0.0', socket.SOCK_DGRAM)")
    with pytest.raises(EngineError, match=f"Renode listens on {kind} port {port}, where other") as caught:
        process.refuse_listeners()
    assert "pass --insecure-renode-listeners" in str(caught.value)
    assert log_of(str(caught.value)).is_file()


@pytest.mark.usefixtures("shared_network")
def test_one_on_every_address_of_ipv6_is_refused_too(start: Callable[..., RenodeProcess]) -> None:
    if not Path("/proc/net/tcp6").exists():
        pytest.skip("needs a system with IPv6")
    process = start()
    port = listen(process, "('::', socket.SOCK_STREAM, socket.AF_INET6)")
    with pytest.raises(EngineError, match=f"tcp port {port}"):
        process.refuse_listeners()


@pytest.mark.usefixtures("shared_network")
def test_the_loopback_interface_is_nobodys_business(start: Callable[..., RenodeProcess]) -> None:
    process = start()
    listen(process, "('127.0.0.1',)")
    listen(process, "('127.3.2.1', socket.SOCK_DGRAM)")
    if Path("/proc/net/tcp6").exists():
        listen(process, "('::ffff:127.0.0.1', socket.SOCK_STREAM, socket.AF_INET6)")
    process.refuse_listeners()


def test_allowed_listeners_are_in_this_machines_network(start: Callable[..., RenodeProcess]) -> None:
    process = start(listeners=True)
    assert network_of(process.pid) == network_of("self")
    listen(process, "('0.0.0.0',)")
    process.refuse_listeners()


@pytest.mark.usefixtures("shared_network")
def test_a_machine_that_opens_a_port_at_load_does_not_come_up(
    fake_renode: FakeFactory, board: Board, scratch: Path
) -> None:
    fake = fake_renode(TERMINALS + "        if 'LoadPlatform' in line: listen('0.0.0.0')\n")
    with pytest.raises(EngineError, match="Renode listens on tcp port"):
        RenodeMachine(str(fake.program), board)
    assert fake.is_gone()
    assert len(list(scratch.iterdir())) == 1
    machine = RenodeMachine(str(fake.program), board, listeners=True)
    machine.close()


@pytest.mark.usefixtures("scratch")
def test_the_environment_allows_it(
    fake_renode: FakeFactory, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, allowed in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv(LISTENERS_VARIABLE, said)
        assert listeners_allowed() is allowed
    monkeypatch.setenv(LISTENERS_VARIABLE, "yes")
    with pytest.raises(EngineError, match=f"{LISTENERS_VARIABLE}=yes: expected 1"):
        listeners_allowed()

    # A machine that was made with it does not serve who did not ask for it, nor the other way round.
    pool, program = RenodePool(), str(fake_renode(TERMINALS).program)
    try:
        monkeypatch.setenv(LISTENERS_VARIABLE, "1")
        open_one = pool.take(program, board)
        pool.give_back(program, board, open_one)
        monkeypatch.delenv(LISTENERS_VARIABLE)
        closed_one = pool.take(program, board)
        assert (open_one.listeners, closed_one.listeners) == (True, False)
        pool.give_back(program, board, closed_one)
        monkeypatch.setenv(LISTENERS_VARIABLE, "1")
        assert pool.take(program, board) is open_one
        pool.give_back(program, board, open_one)
    finally:
        pool.close()


@pytest.mark.parametrize("command", [["run"], ["board", "up"], ["sweep"], ["crosscheck"]])
def test_every_command_that_chooses_an_engine_has_the_option(command: list[str]) -> None:
    text = CliRunner().invoke(cli, [*command, "--help"]).output
    assert "--engine" in text
    assert "--insecure-renode-listeners" in text


def test_the_option_holds_for_its_command_only(monkeypatch: pytest.MonkeyPatch, probe_elf: Path) -> None:
    seen: list[bool] = []

    def look(*_: object, **__: object) -> None:
        seen.append(listeners_allowed())
        raise EngineError("seen enough")

    monkeypatch.setattr("brownout.device.create_engine", look)
    arguments = ["run", "--boot", str(probe_elf), "--engine", "renode"]
    for more in ([], ["--insecure-renode-listeners"]):
        result = CliRunner().invoke(cli, [*arguments, *more])
        assert isinstance(result.exception, EngineError)
        assert LISTENERS_VARIABLE not in os.environ
    assert seen == [False, True]


def test_a_system_without_unshare_gives_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network.private_network.cache_clear()
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert network.private_network() == ()
        # There, but not allowed, as in many containers.
        network.private_network.cache_clear()
        for name in ("unshare", "setpriv"):
            (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
            (tmp_path / name).chmod(0o755)
        assert network.private_network() == ()
    finally:
        network.private_network.cache_clear()
