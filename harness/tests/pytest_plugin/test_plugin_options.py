"""What a test asks for and cannot be: one line that names what was meant, and no traceback of ours."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from brownout.live.runners import RUNNERS
from brownout.pytest_plugin import ENGINES
from brownout.pytest_plugin.options import MARKERS, MarkerOptions, SweepOptions

if TYPE_CHECKING:
    from conftest import Run

pytest_plugins = ["pytester"]

USAGE_ERROR = 4
COLLECTION_ERROR = 2
USES = "def test_it({0}): ...\n"


def says(result: pytest.RunResult, line: str) -> None:
    """The line stands there, once, and nothing of ours around it.

    pytest's own summary repeats it: whole in CI, cut to the terminal's width elsewhere.
    """
    told = itertools.takewhile(lambda shown: "short test summary info" not in shown, result.outlines)
    output = [*told, *result.errlines]
    assert sum(line in shown for shown in output) == 1, "\n".join(output)
    assert not any("Traceback" in shown or "INTERNALERROR" in shown for shown in output), "\n".join(output)


def test_engines_are_those_of_the_harness() -> None:
    assert ENGINES == RUNNERS


def test_help_of_the_markers_names_every_option() -> None:
    texts = {name.partition("(")[0]: name for name in MARKERS}
    for key in MarkerOptions.__annotations__:
        assert f"{key}=" in texts["brownout"]
    for key in SweepOptions.__annotations__:
        assert f"{key}=" in texts["power_cut_sweep"]


def test_import_leaves_the_harness_alone() -> None:
    """Every test session of the environment loads the plugin."""
    code = (
        "import pytest, sys; import brownout.pytest_plugin; "
        "print([name for name in sys.modules if name.split('.')[0] in ('brownout', 'fieldlink', 'unicorn')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {"brownout"} | {
        f"brownout.pytest_plugin{name}" for name in ("", ".failures", ".keeping", ".options", ".power_cuts")
    }
    assert set(eval(done.stdout)) == loaded  # noqa: S307 - a list of names that we printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--brownout-engine", "qmu"), "--brownout-engine: 'qmu': unknown engine; did you mean 'qemu'?"),
        (("--brownout-target", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("--brownout-seed", "one"), "argument --brownout-seed: invalid int value: 'one'"),
        (("--brownout-artifacts", "file"), "--brownout-artifacts: "),
        (("--brownout-artifacts", "file/below"), "--brownout-artifacts: "),
    ],
)
def test_wrong_option_is_a_usage_error(
    arguments: tuple[str, ...], line: str, pytester: pytest.Pytester, run: Run
) -> None:
    pytester.path.joinpath("file").write_text("")
    result = run(*arguments)
    assert result.ret == USAGE_ERROR
    says(result, line)


def test_target_that_is_missing_names_the_nearest(pytester: pytest.Pytester, run: Run) -> None:
    pytester.path.joinpath("target.toml").write_text("")
    result = run("--brownout-target", "targte.toml")
    assert result.ret == USAGE_ERROR
    says(result, "did you mean 'target.toml'?")


@pytest.mark.parametrize(
    ("ini", "line"),
    [
        ("brownout_sead = 1", "brownout_sead: unknown option; did you mean 'brownout_seed'?"),
        ("brownout_seed = one", "brownout_seed: 'one': expected an integer"),
        ("brownout_engine = Qemu", "'Qemu': unknown engine; did you mean 'qemu'?"),
        ("brownout_target = nowhere.toml", "brownout_target: "),
    ],
)
def test_wrong_ini_key_is_a_usage_error(ini: str, line: str, pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = run()
    assert result.ret == USAGE_ERROR
    says(result, line)


@pytest.mark.parametrize(
    ("marker", "fixture", "line"),
    [
        ("power_cut_sweep(point=3)", "power_cut", "point: unknown option; did you mean 'points'?"),
        ("power_cut_sweep(points=0)", "power_cut", "points: 0: expected a number of at least 1"),
        ("power_cut_sweep(points='3')", "power_cut", "points: '3': expected a number of at least 1"),
        ("power_cut_sweep(phases='tron')", "power_cut", "'tron': unknown phase; did you mean 'torn'?"),
        ("power_cut_sweep(torn='al')", "power_cut", "torn: 'al': did you mean 'all'?"),
        ("power_cut_sweep(engine='unicron')", "power_cut", "did you mean 'unicorn'?"),
        ("power_cut_sweep(operations=['1'])", "power_cut", "operations: ['1']: expected numbers and pairs"),
        ("power_cut_sweep(target='nowhere.toml')", "power_cut", "nowhere.toml: there is no such file"),
        ("power_cut_sweep(seed='x')", "power_cut", "seed: expected an integer, found 'x'"),
        ("power_cut_sweep(5)", "power_cut", "expected options by name"),
        ("power_cut_sweep(points=3)", "power_cut", "power_cut_sweep: no target: expected target="),
        ("power_cut_sweep(points=3)", "tmp_path", "the test takes no `power_cut`"),
        ("power_cut('op=x')", "device", "cut 'op=x': expected op=N"),
        ("power_cut()", "device", "power_cut: expected cuts as texts"),
        ("power_cut(cut='op=1/torn')", "device", "power_cut: cut: unknown option"),
        ("power_cut('op=1/torn')", "tmp_path", "the test takes no `device`"),
        ("brownout(sed=3)", "device", "brownout: sed: unknown option; did you mean 'seed'?"),
        ("brownout(engine='renod')", "device", "did you mean 'renode'?"),
        ("brownout(boot='nowhere.elf')", "device", "nowhere.elf: there is no such file"),
        ("brownout(flash={'0': 'x'})", "device", "flash: '0': expected an offset"),
        ("brownout(check='no')", "device", "check: expected True or False, found 'no'"),
        ("brownout(seed='7')", "device", "seed: expected an integer, found '7'"),
        ("brownout('qemu')", "device", "expected options by name"),
    ],
)
def test_wrong_marker_is_one_line_of_collection(
    marker: str, fixture: str, line: str, pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\n{USES.format(fixture)}")
    result = run()
    assert result.ret == COLLECTION_ERROR
    says(result, line)


def test_power_cut_without_a_sweep_says_what_is_missing(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(USES.format("power_cut"))
    result = run()
    result.assert_outcomes(errors=1)
    says(result, "brownout: power_cut: expected @pytest.mark.power_cut_sweep(...)")


def test_device_without_anything_to_run_says_what_is_missing(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(USES.format("device"))
    result = run()
    result.assert_outcomes(errors=1)
    says(result, "brownout: device: nothing to run: expected --brownout-target")


def test_closest_marker_wins_then_command_line_then_ini(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeini("[pytest]\nbrownout_board = nrf52840-dk\n")
    pytester.makepyfile(
        """
        import pytest

        def test_plain(board):
            assert board.name == "stm32f4-discovery"

        @pytest.mark.brownout(board="mps2-an385")
        class TestMarked:
            def test_class(self, board):
                assert board.name == "mps2-an385"

            @pytest.mark.brownout(board="stm32h7-nucleo")
            def test_own(self, board):
                assert board.name == "stm32h7-nucleo"
        """
    )
    run("--brownout-board", "stm32f4-discovery").assert_outcomes(passed=3)
    pytester.makepyfile("def test_ini(board): assert board.name == 'nrf52840-dk'")
    result = run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["brownout: board nrf52840-dk"])


def test_board_that_there_is_not_is_one_line(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(USES.format("board"))
    result = run("--brownout-board", "mps3")
    result.assert_outcomes(errors=1)
    says(result, "brownout: board 'mps3'")


def test_other_tests_see_nothing_of_the_plugin(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(): assert 1 == 2")
    result = run(apart=True)
    result.assert_outcomes(failed=1)
    assert "brownout" not in result.stdout.str()
