"""The fixture device: what it runs, its cuts, and what a test that fails leaves."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from brownout.evidence import MANIFEST, read_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import Run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.emulator

PROBE = """
import pytest

pytestmark = pytest.mark.brownout(board="mps2-an385", boot={elf!r}, seed=7)
SEEN = []

@pytest.fixture
def probe(device):
    device.power_on()
    device.wait_for_line("probe ready")
    return device

def obey(device, command):  # harness/tests/firmware/probe.c
    device.console.write(command + b"\\n")
    device.wait_for_line("done")

@pytest.mark.brownout(flash={{0x1000: "image.bin", 0x2000: "image.bin"}})
def test_images(probe):
    assert probe.flash.image()[0x1ffc:0x2008] == bytes([255] * 4) + b"1234" + bytes([255] * 4)

@pytest.mark.power_cut("op=3/torn")
def test_not_fired(probe):
    obey(probe, b"n2 1000")

@pytest.mark.power_cut("op=1/torn", "op=2/torn")
def test_not_armed(probe):
    probe.console.write(b"n2 1000\\n")
    probe.wait_for_cut()

@pytest.mark.power_cut("op=1/torn", "op=2/torn")
def test_both_cuts(probe):
    for number in (1, 2):
        probe.console.write(b"n2 1000\\n")
        assert probe.wait_for_cut().session == number
        probe.power_on()
        probe.wait_for_line("probe ready")

def test_rule(probe):
    obey(probe, b"p1000 4 0")
    obey(probe, b"p1000 4 1")

@pytest.mark.brownout(check=False)
def test_rule_unchecked(probe):
    test_rule(probe)

def test_deadline(probe):
    probe.wait_for_line("never said", timeout=0.3)

def test_fails(probe):
    SEEN.append(probe)
    assert not SEEN

def test_after_it():
    from brownout.engines.base import PowerState

    assert [device.engine.state for device in SEEN] == [PowerState.OFF]
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, probe_elf: Path) -> Mapping[str, str]:
    """What a run of the tests above said of each, "" of one that passed: each process takes a second."""
    folder = tmp_path_factory.mktemp("probe-tests")
    (folder / "image.bin").write_bytes(b"1234")
    (folder / "test_it.py").write_text(PROBE.format(elf=str(probe_elf)))
    options = ["-p", "brownout.pytest_plugin", "-p", "no:cacheprovider", "--junitxml=junit.xml"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")  # noqa: S314 - pytest wrote it
    return {
        case.attrib["name"]: "\n".join(
            found.text or "" for found in case if found.tag in ("failure", "error")
        )
        for case in cases
    }


def test_device_has_the_images_of_the_target_and_no_power(
    pytester: pytest.Pytester, run: Run, good_example: Path
) -> None:
    pytester.makepyfile(
        """
        from brownout.engines.base import PowerState

        def test_it(device, board):
            assert device.engine.state is PowerState.OFF
            assert device.seed == 1
            assert device.flash.image()[0x20_0000:][:4] == b"SET1"
            assert device.board == board
        """
    )
    run(f"--brownout-target={good_example}/target.toml", apart=True).assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["images", "both_cuts", "rule_unchecked", "after_it"])
def test_probe_test_passes(name: str, told: Mapping[str, str]) -> None:
    """Images by offset; a cut at each power-on; rules that are not checked; no device outlives its test."""
    assert told[f"test_{name}"] == ""


def test_cut_that_does_not_fire_fails_the_test(told: Mapping[str, str]) -> None:
    replay = "mps2-an385:qemu:7:op=3/torn/random"
    assert told["test_not_fired"] == f"power_cut: op=3/torn/random did not fire: is it ever reached? {replay}"


def test_cut_that_was_not_armed_fails_the_test(told: Mapping[str, str]) -> None:
    assert told["test_not_armed"].startswith(
        "power_cut: op=2/torn was not armed: the device was not given power"
    )


def test_broken_rule_of_the_flash_fails_the_test(told: Mapping[str, str]) -> None:
    assert told["test_rule"].startswith("brownout: 1 flash rule(s) broken")


def test_error_in_the_middle_of_a_test_ends_in_the_test(told: Mapping[str, str]) -> None:
    lines = told["test_deadline"].splitlines()
    assert '>       probe.wait_for_line("never said", timeout=0.3)' in lines
    assert any(line.startswith("E   ") and "DeadlineError: console" in line for line in lines)
    assert "device.py:" not in told["test_deadline"]


def test_failure_keeps_what_the_command_needs_to_do_it_again(
    pytester: pytest.Pytester, run: Run, bad_example: Path
) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.power_cut("op=3/torn")
        def test_lost(device):
            device.power_on()
            device.wait_for_cut()
            device.power_on()
            assert device.wait_for_line("sensor(.*)\\r\\n")[1] == " 4711: every 300 s"
        """
    )
    result = run(
        "--brownout-target", str(bad_example / "target.toml"), "--brownout-artifacts", "kept", apart=True
    )
    result.assert_outcomes(failed=1)
    folder = pytester.path / "kept" / "test_it" / "test_lost" / "device"
    assert (folder / MANIFEST).is_file()
    evidence = read_evidence(folder)
    assert evidence.replay == "mps2-an385:qemu:1:op=3/torn/random"
    result.stdout.fnmatch_lines(
        [f"replay   {evidence.replay}", f"evidence {folder}", f"again    {evidence.command}"]
    )

    words = shlex.split(evidence.command)
    assert words[0] == "brownout"
    program = [sys.executable, "-c", "from brownout.cli import main; main()"]
    # The firmware says that it has lost its settings at once.
    words[words.index("--timeout") + 1] = "1"
    again = subprocess.run([*program, *words[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0, again.stderr
    assert "sensor: settings lost" in again.stdout


def test_engine_that_cannot_says_which_can(
    pytester: pytest.Pytester, run: Run, good_example: Path, probe_elf: Path
) -> None:
    pytester.makepyfile("def test_it(device): pass")
    result = run("--brownout-engine", "unicorn", f"--brownout-target={good_example}/target.toml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["brownout: device: engine unicorn does not run in real time*; use --brownout-engine qemu*on unicorn"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.brownout(board="nrf52840-dk", boot={str(probe_elf)!r}, engine="qemu")
        def test_it(device): pass
        """
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["brownout: device: board 'nrf52840-dk': QEMU does not run it*; power_cut_sweep runs it on unicorn"]
    )
