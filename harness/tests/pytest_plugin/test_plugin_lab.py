"""The fixtures server and debug_session, on the reference firmware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.evidence import read_evidence
from brownout.lab import FirmwareBuilds

if TYPE_CHECKING:
    from conftest import Run

ROOT = Path(__file__).resolve().parents[3]

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.emulator

NEW = '{"kernel": "1.1.0", "app": "1.1.0", "assets": "1.1.0"}'


@pytest.fixture(autouse=True)
def firmware(monkeypatch: pytest.MonkeyPatch) -> None:
    root = ROOT / "build" / "firmware"
    FirmwareBuilds(root=root).version("1.1.0")  # BuildError when there is none: `make test` makes it
    monkeypatch.setenv("BROWNOUT_FIRMWARE", str(root))


def test_device_of_the_server_upgrades_itself_in_spite_of_a_cut(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.power_cut("at=flag-requested#1/after")
        def test_upgrade(server, device):
            server.publish(2, {NEW})
            device.power_on()
            device.wait_for_cut(20)
            device.power_on()
            unit = server.units["dev-1"]
            assert unit.device is device
            unit.wait_for_installed(2, timeout=40)
            assert unit.installed_sequence() == 2
        """
    )
    run(apart=True).assert_outcomes(passed=1)


def test_failure_keeps_each_device_and_names_the_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        test_it="""
        def test_two(server):
            for name in ("dev-1", "dev-2"):
                server.add_unit(name)
            server.units["dev-2"].boot()
            assert server.seed == 5
            raise OSError("no more")
        """
    )
    result = run("--brownout-seed=5", apart=True)
    result.assert_outcomes(failed=1)
    folder = pytester.path / "brownout-artifacts" / "test_it" / "test_two"
    assert sorted(path.name for path in folder.iterdir()) == ["dev-1", "dev-2"]
    command = f"pytest {pytester.path}/test_it.py::test_two --brownout-seed 5"
    assert read_evidence(folder / "dev-2").command == command
    result.stdout.fnmatch_lines(
        [f"evidence {folder}/dev-1", f"evidence {folder}/dev-2", f"again    {command}"]
    )


def test_debug_session_stops_reads_and_changes_the_app(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import socket

        import pytest

        from brownout.errors import BrownoutError

        def test_app(debug_session, server):
            session = debug_session
            assert session.running
            counted = session.read_word("measurement")

            stop = session.halt()
            assert stop.reason == "halted" and not session.running
            assert session.registers()["pc"] == stop.pc
            assert session.step().reason == "step"

            session.set_watchpoint("measurement", 4)
            assert session.run_until_stop().reason == "watch-write"
            session.remove_watchpoint("measurement", 4)
            assert session.read_word("measurement") >= counted
            session.step()  # the store itself

            session.write_memory("measurement", (1_000_000).to_bytes(4, "little"))
            session.write_register("r12", 77)
            assert session.registers()["r12"] == 77
            session.resume()
            with socket.create_connection(("127.0.0.1", session.gdb_port), timeout=10):
                pass
            assert session.read_word("measurement") >= 1_000_000

            with pytest.raises(BrownoutError, match="symbol 'nothing': not in "):
                session.address("nothing")
            with pytest.raises(BrownoutError, match="read 4 bytes at 0x00000000"):
                session.read_memory(0)

        def test_app_at_a_breakpoint(debug_session):
            stop = debug_session.halt()
            debug_session.set_breakpoint(stop.pc)
            hit = debug_session.run_until_stop()
            assert (hit.reason, hit.pc) == ("breakpoint", stop.pc)
            debug_session.remove_breakpoint(stop.pc)
            debug_session.close()
            with pytest.raises(BrownoutError, match="the debug session is closed"):
                debug_session.registers()
        """
    )
    run(apart=True).assert_outcomes(passed=2)


def test_firmware_that_is_not_built_is_one_line(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BROWNOUT_FIRMWARE")
    pytester.makepyfile("def test_it(server): pass")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["brownout: *firmware: no firmware builds; run `make firmware` or set *"])
    pytester.mkdir("builds")
    pytester.makeini("[pytest]\nbrownout_firmware = builds\n")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["brownout: */builds/1.0.0: firmware 1.0.0 is not built; *"])
