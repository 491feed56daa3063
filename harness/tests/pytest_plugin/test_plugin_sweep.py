"""power_cut_sweep: a test for each cut, the same ones in every process, and none that passes by accident."""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING

from brownout.evidence import NAMES, EvidenceKey, read_evidence
from brownout.live.recovery import plan_cuts
from brownout.results.importers import ImportOptions, import_file

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from conftest import Run

    from brownout.target import Target

pytest_plugins = ["pytester"]

SURVIVES = """
import pytest

@pytest.mark.power_cut_sweep({0})
def test_survives(power_cut):
    assert power_cut.recover().verdict == "converted"
"""


def target_of(example: Path) -> str:
    return f"--brownout-target={example / 'target.toml'}"


def ids(result: pytest.RunResult) -> list[str]:
    return [line.partition("[")[2].rstrip("]") for line in result.outlines if "::" in line]


def test_one_test_for_each_cut_of_the_plan(
    pytester: pytest.Pytester, run: Run, good_example: Path, good: Target
) -> None:
    pytester.makepyfile(SURVIVES.format(""))
    result = run("--collect-only", "-q", target_of(good_example))
    assert ids(result) == [str(cut).replace("=", "") for cut in plan_cuts(good)]
    assert len(ids(result)) == 35
    assert not (pytester.path / "brownout-artifacts").exists()


def test_draw_depends_on_the_seed_alone(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(SURVIVES.format("points=3, phases='after'"))
    drawn = [
        ids(run("--collect-only", "-q", target_of(good_example), "--brownout-seed", seed)) for seed in "1213"
    ]
    assert [len(found) for found in drawn] == [3, 3, 3, 3]
    assert drawn[0] == drawn[2]
    assert len({tuple(found) for found in drawn}) == 3


def test_options_choose_the_cuts(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(SURVIVES.format("operations=[2, (6, None)], phases=['before', 'torn'], torn='all'"))
    found = ids(run("--collect-only", "-q", target_of(good_example)))
    assert {text.partition("/")[0] for text in found} == {"op2", "op6", "op7"}
    assert {text.split("/")[1] for text in found} == {"before", "torn"}
    assert len(found) == 3 * (1 + 15)


def test_name_selects_a_cut(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(SURVIVES.format(""))
    run("-k", "op7/torn/random or op1/after", target_of(good_example)).assert_outcomes(
        passed=2, deselected=33
    )


def test_workers_agree(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(SURVIVES.format("points=2"))
    result = run("-p", "xdist", "-n", "2", target_of(good_example), apart=True)
    result.assert_outcomes(passed=10)


def test_failure_keeps_evidence_and_says_how_to_do_it_again(
    pytester: pytest.Pytester, run: Run, bad_example: Path, good_example: Path
) -> None:
    pytester.makepyfile(test_it=SURVIVES.format("operations=[3], phases='after'"))
    result = run(target_of(bad_example), "--junitxml=junit.xml", apart=True)
    result.assert_outcomes(failed=1)
    folder = pytester.path / "brownout-artifacts" / "test_it" / "test_survives[op3-after]" / "settings-store"
    evidence = read_evidence(folder)
    assert evidence.verdict == "loop"
    assert evidence.replay == "settings-store:unicorn:1:op=3/after"
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: loop: sleeps for ever at reset_handler*",
            "E       boot 1, op=3/after: power lost at *",
            f"replay   {evidence.replay}",
            f"evidence {folder}".replace("[", "[[]"),
            f"again    {evidence.command}",
        ]
    )
    # The harness's own frames are not shown.
    assert "recovery.py" not in result.stdout.str()
    junit = (pytester.path / "junit.xml").read_text()
    for name, value in (
        ("replay", evidence.replay),
        ("command", evidence.command),
        ("evidence", folder.parent),
        ("board", "mps2-an385"),
        ("engine", "unicorn"),
        ("flash_operations", _operations(folder)),
    ):
        assert f'<property name="{name}" value="{value}" />' in junit

    recorded = import_file(pytester.path / "junit.xml", ImportOptions(project="demo")).run
    assert (recorded.series.board, recorded.series.engine) == ("mps2-an385", "unicorn")
    assert recorded.engine_version == importlib.metadata.version("unicorn")

    # What an earlier run has left does not outlive its reason.
    run(target_of(good_example), apart=True).assert_outcomes(passed=1)
    assert not (pytester.path / "brownout-artifacts").exists()


def _operations(folder: Path) -> int:
    log = (folder / NAMES[EvidenceKey.OPERATIONS]).read_text().splitlines()
    return sum(json.loads(line).get("kind") in ("program", "erase") for line in log)


def test_expected_failure_keeps_nothing(pytester: pytest.Pytester, run: Run, bad_example: Path) -> None:
    pytester.makepyfile("import pytest\npytestmark = pytest.mark.xfail\n" + SURVIVES.format("operations=[3]"))
    run(target_of(bad_example)).assert_outcomes(xfailed=5)
    assert not (pytester.path / "brownout-artifacts").exists()


def test_evidence_of_one_test_is_limited(pytester: pytest.Pytester, run: Run, bad_example: Path) -> None:
    pytester.makepyfile(test_it=SURVIVES.format("operations=[(2, 4)]"))
    result = run(target_of(bad_example))
    result.assert_outcomes(failed=15)
    assert len(list((pytester.path / "brownout-artifacts" / "test_it").iterdir())) == 10
    assert result.stdout.str().count("none kept: there is that of 10 failures of this test") == 5
    assert result.stdout.str().count("again    brownout sweep") == 15


def test_no_test_passes_that_cut_nothing(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.power_cut_sweep(operations=[7], phases="after")

        def test_forgot(power_cut):
            pass

        def test_second_cut_not_there(power_cut):
            power_cut.recover("op=99/torn", check=False)
        """
    )
    result = run(target_of(good_example))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["power_cut: recover() was not called: nothing was cut"])
    result.stdout.fnmatch_lines(["E       AssertionError: not-fired: *"])


def test_verdict_is_the_tests_own_business_when_it_says_so(
    pytester: pytest.Pytester, run: Run, bad_example: Path
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.power_cut_sweep(operations=[3], phases="torn")
        def test_looks(power_cut):
            assert (power_cut.operation, power_cut.phase) == (3, "torn")
            assert str(power_cut).startswith("op=3/torn/")
            recovered = power_cut.recover(check=False)
            assert recovered.failed
            assert recovered.verdict == "loop"
            assert len(recovered.operations) == 3
            assert recovered.flash != recovered.flash_before
        """
    )
    run(target_of(bad_example)).assert_outcomes(passed=3)


def test_second_cut_hits_the_recovery(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.power_cut_sweep(operations=[3], phases="before")
        def test_twice(power_cut):
            recovered = power_cut.recover("op=2/torn")
            assert recovered.replay.endswith(":op=3/before:op=2/torn/random")
            cut = [record.cut is not None for record in recovered.operations[:5]]
            assert cut == [False, False, True, False, True]
        """
    )
    run(target_of(good_example)).assert_outcomes(passed=1)


def test_sweep_on_an_engine_in_real_time(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.power_cut_sweep(engine="qemu", points=1, phases="torn")
        def test_survives(power_cut):
            recovered = power_cut.recover()
            assert recovered.engine == "qemu"
            assert recovered.verdict == "converted"
        """
    )
    run("-k", "random", target_of(good_example), apart=True).assert_outcomes(passed=1, deselected=2)


def test_firmware_that_fails_without_a_cut_is_a_failed_test(
    pytester: pytest.Pytester, run: Run, good_example: Path, tmp_path: Path
) -> None:
    """Not a collection error: the other tests of the file can still run."""
    text = (good_example / "target.toml").read_text()
    target = tmp_path / "target.toml"
    elf = json.dumps(str(good_example / "build" / "firmware.elf"))
    target.write_text(text.replace('"build/firmware.elf"', elf).replace("value = 300", "value = 301"))
    pytester.makepyfile(SURVIVES.format("") + "\ndef test_other(): pass\n")
    result = run(f"--brownout-target={target}")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*test_survives[[]without-a-cut]*", "brownout: settings-store: without a cut it arrives at *"]
    )


def test_target_that_is_not_built_is_one_line(pytester: pytest.Pytester, run: Run, tmp_path: Path) -> None:
    (tmp_path / "target.toml").write_text('board = "mps2-an385"\nelf = "no.elf"\n[[outcome]]\nname = "new"\n')
    pytester.makepyfile(SURVIVES.format(""))
    result = run(f"--brownout-target={tmp_path}/target.toml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["brownout: *no.elf: there is no such file: build the bootloader first"])
    assert "Traceback" not in result.stdout.str()


def test_test_that_is_run_again_begins_anew(pytester: pytest.Pytester, run: Run, good_example: Path) -> None:
    """As pytest-rerunfailures does it: the same item, twice."""
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, log=False)
            for report in runtestprotocol(item, nextitem=nextitem, log=False):
                item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    pytester.makepyfile(
        """
        import pytest

        RUNS = []

        @pytest.mark.power_cut_sweep(operations=[2], phases="after")
        def test_second_time(power_cut):
            RUNS.append(power_cut)
            if len(RUNS) == 2:
                power_cut.recover()
        """
    )
    run(target_of(good_example)).assert_outcomes(passed=1)
