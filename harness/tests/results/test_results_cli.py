"""`brownout results`, as it is typed."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from results_files import a_sweep, bench_document, failing_sweep, write_device, write_sweep
from results_helpers import a_case, a_run

from brownout.cli.root import cli
from brownout.errors import BrownoutError
from brownout.results.model import Result as Outcome
from brownout.results.store import ResultStore


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository with a sweep in it."""
    folder = tmp_path / "widget"
    folder.mkdir()
    for name in ("BROWNOUT_RESULTS", "GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["commit", "--quiet", "--allow-empty", "-m", "first"],
    ):
        subprocess.run([*git, *arguments], check=True)
    write_sweep(folder / "good.json", a_sweep())
    write_sweep(folder / "bad.json", failing_sweep())
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(
        cli, ["results", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )


def said(*arguments: object) -> str:
    """What a command that ends well prints."""
    return call(*arguments).stdout


def answer(*arguments: object):
    return json.loads(said(*arguments, "--json"))


def recorded(*arguments: object) -> list[str]:
    """Ids of the runs that an import recorded."""
    return [entry["run"] for entry in answer("import", *arguments)]


def test_import_records_where_the_sources_are(project):
    text = said("import", "good.json")
    found = re.fullmatch(
        r"good\.json: run (\S+): sweep boot on nrf52840-dk/unicorn: 1 passed, 4 cuts, 8 figures\n", text
    )
    assert found is not None
    (run,) = answer("list")
    assert (run["id"], run["project"], run["branch"], run["dirty"]) == (found[1], "widget", "main", False)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert run["commit"] == head.strip()
    assert (project / ".brownout" / "results.db").is_file()


def test_what_the_user_says_counts_more(project):
    call(
        *("import", "good.json", "--project", "p", "--engine", "e", "--board", "b", "--seed", "5"),
        *("--revision", "ABCDEF1", "--branch", "topic", "--command", "make sweep"),
    )
    (run,) = answer("list")
    shown = answer("show", run["id"])
    assert shown["command"] == "make sweep"
    assert re.search(r"^  again +make sweep$", call("show", run["id"]).output, re.M)
    assert [shown[key] for key in ("project", "engine", "board", "seed", "commit", "branch", "dirty")] == [
        "p",
        "e",
        "b",
        5,
        "abcdef1",
        "topic",
        False,
    ]
    with pytest.raises(BrownoutError, match="--revision: 'nothing': expected a commit"):
        call("import", "bad.json", "--revision", "nothing")


def test_in_ci_the_branch_is_what_ci_says(project, monkeypatch):
    subprocess.run(["git", "checkout", "--quiet", "--detach"], check=True)
    monkeypatch.setenv("GITHUB_HEAD_REF", "")
    monkeypatch.setenv("GITHUB_REF_NAME", "topic/7")
    call("import", "good.json")
    assert answer("list")[0]["branch"] == "topic/7"


def test_a_file_is_recorded_once(project):
    (first,) = answer("import", "good.json")
    assert first == {"file": "good.json", "run": first["run"], "recorded": True}
    assert said("import", "good.json") == f"good.json: recorded already, as run {first['run']}\n"
    assert answer("import", "good.json") == [{**first, "recorded": False}]
    assert len(answer("list")) == 1


def test_nothing_is_recorded_when_one_of_the_files_is_bad(project):
    (project / "half.json").write_text((project / "good.json").read_text()[:300])
    with pytest.raises(BrownoutError, match=r"half\.json: is no whole JSON file"):
        call("import", "good.json", "half.json")
    assert not (project / ".brownout").exists()


def test_list_filters_and_says_when_there_is_nothing(project):
    with pytest.raises(BrownoutError, match="does not exist"):
        call("list")
    call("import", "good.json", "bad.json")
    (project / "bench.json").write_text(json.dumps(bench_document()))
    call("import", "bench.json", "--branch", "topic")
    assert len(answer("list")) == 3
    assert len(answer("list", "--limit", "1")) == 1
    for wanted in (["--kind", "bench"], ["--name", "bench"], ["--branch", "topic"], ["--engine", "qemu"]):
        assert [run["kind"] for run in answer("list", *wanted)] == ["bench"]
    assert len(answer("list", "--commit", "main")) == 3
    assert said("list", "--commit", "0000000") == "no such runs\n"
    lines = said("list", "--kind", "sweep").splitlines()
    assert lines[0].split() == [
        "run",
        "kind",
        "name",
        "board",
        "engine",
        "commit",
        "branch",
        "passed",
        "failed",
        "skipped",
    ]
    assert len(lines) == 3
    columns = [lines[0].index(name) for name in ("kind", "board", "passed")]
    assert [lines[1][at - 1] for at in columns] == [" ", " ", " "]
    assert lines[1][columns[0] :].startswith("sweep")


def test_show_says_what_failed_and_how_to_replay_it(project):
    (run,) = recorded("bad.json", "--target", "boot.toml")
    text = said("show", run[-6:])
    assert text.startswith(f"run {run}: sweep boot on nrf52840-dk/unicorn: 4 failed, 4 cuts, 8 figures\n")
    assert "again: brownout sweep boot.toml --replay boot:unicorn:1:op=1/before" in text
    assert "flash.operations" in text
    case = said("show", run, "--case", "loop")
    assert case.startswith("loop: cut, erase of journal: CFSR 0x00008200, HFSR 0x40000000: fail\n")
    assert "boot 1: op=2/torn/random" in case
    for name, why in (("brick", "fits 2 cases"), ("other", "has no case 'other'")):
        with pytest.raises(BrownoutError, match=why):
            call("show", run, "--case", name)


def test_show_as_json_has_everything_but_the_bytes(project):
    write_device(project / "kept" / "00000003" / "dev")
    (run,) = recorded("bad.json", "--evidence", "kept")
    document = answer("show", run)
    assert len(document["cuts"]) == 4
    assert document["figures"][0]["name"] == "sweep.points"
    one = answer("show", run, "--case", "loop")
    assert one == document["cases"][3]
    assert [entry["path"] for entry in one["evidence"]] == [
        "dev/evidence.json",
        "dev/operations.jsonl",
        "dev/uart.log",
    ]


def test_show_writes_evidence_out(project):
    write_device(project / "kept" / "00000003" / "dev")
    (run,) = recorded("bad.json", "--evidence", "kept")
    assert said("show", run, "--evidence", "out").endswith("3 file(s) written to out\n")
    (folder,) = (project / "out").iterdir()
    assert folder.name == "loop_ cut, erase of journal_ CFSR 0x00008200, HFSR 0x40000000"
    for name in ("evidence.json", "uart.log", "operations.jsonl"):
        kept = project / "kept" / "00000003" / "dev" / name
        assert (folder / "dev" / name).read_bytes() == kept.read_bytes()
    (project / "file").write_text("x")
    with pytest.raises(BrownoutError, match="cannot be made"):
        call("show", run, "--evidence", "file/below")


def test_evidence_is_never_written_beside_its_folder(project):
    from brownout.results.model import EvidenceItem

    item = EvidenceItem(path="../../stolen", key="", media_type="", data=b"x")
    run = a_run(cases=(a_case("..", Outcome.FAIL, evidence=(item,)),))
    with ResultStore.open("store.db") as store:
        store.add(run)
    with pytest.raises(BrownoutError, match="is not below its folder"):
        call("show", run.id, "--evidence", "out/deep", "--store", "store.db")
    assert not list(project.rglob("stolen"))


def test_compare_says_what_broke_and_what_was_fixed(project):
    good, bad = recorded("good.json", "bad.json", "--target", "boot.toml")
    broke = call("compare", good, bad)
    assert broke.return_value == 1
    assert "broke (4):" in broke.stdout
    assert "again: brownout sweep boot.toml --replay boot:unicorn:1:op=1/before" in broke.stdout
    fixed = call("compare", bad, good)
    assert fixed.return_value == 0
    assert "fixed (4):" in fixed.stdout
    assert fixed.stdout.endswith("nothing broke\n")
    result = call("compare", good, bad, "--json")
    assert result.return_value == 1
    document = json.loads(result.stdout)
    assert [change["name"] for change in document["broke"]][-1] == "sweep"
    assert (document["old"]["id"], document["new"]["id"]) == (good, bad)
    assert (document["fixed"], document["same_series"]) == ([], True)
    with pytest.raises(BrownoutError, match="has no run 'main'"):
        call("compare", good, "main")


def test_compare_shows_figures_by_ratio(project):
    write_sweep(project / "slow.json", a_sweep(clean_time=12_000, target="other"))
    old, new = recorded("good.json", "slow.json")
    text = said("compare", old, new)
    assert "these runs are of different things" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["sweep.clean-time", "1.500", "8,000", "12,000", "halfwords", "worse"] in rows
    assert not [row for row in rows if row and row[0] == "sweep.points"]


def test_prune(project):
    now = datetime.now(UTC)
    with ResultStore.open() as store:
        for days in (1, 2, 40):
            store.add(a_run((now - timedelta(days=days) - a_run().started) / timedelta(days=1)))
    assert said("prune", "--older-than", "30", "--dry-run") == "1 run(s) would be removed\n"
    assert said("prune", "--older-than", "30") == "1 run(s) removed\n"
    newest = answer("list")[0]["id"]
    assert len(answer("prune", "--keep", "1")["runs"]) == 1
    assert [run["id"] for run in answer("list")] == [newest]


@pytest.mark.parametrize(
    "arguments", [("prune",), ("prune", "--keep", "-1"), ("import",), ("list", "--kind", "other"), ("show",)]
)
def test_usage_errors(project, arguments):
    import click

    with pytest.raises(click.ClickException) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
