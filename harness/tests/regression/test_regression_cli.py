"""The command: its files, its exit codes, one clear line for what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from regression_runs import SWEEP, History, cases_of, image, sha

from brownout.cli.root import cli
from brownout.errors import BrownoutError
from brownout.regression import output
from brownout.regression.commits import Commits
from brownout.regression.locate import Locator
from brownout.results.model import FirmwareImage, Location, Revision
from brownout.results.store import ResultStore

FILES = {"index.html", "report.md", "junit.xml", "findings.sarif", "report.json"}


@pytest.fixture
def recorded(acme_store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of git, with the store of the made-up project."""
    assert acme_store is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("BROWNOUT_RESULTS", str(tmp_path / "results.db"))
    return tmp_path


def run(*arguments: str) -> Result:
    """What the command returns is its exit code, as in the whole program."""
    result = CliRunner().invoke(cli, ["report", *arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit | BrownoutError):
        raise result.exception
    return result


def error(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, BrownoutError), result.output
    message = str(result.exception)
    assert "\n" not in message
    return message


def test_report_is_written_and_the_exit_code_says_that_something_broke(recorded: Path) -> None:
    result = run("--baseline", sha("acme 4"), "--out", "deep/report")
    assert result.return_value == 1
    assert {path.name for path in (recorded / "deep/report").iterdir()} == FILES
    lines = result.output.splitlines()
    assert lines[0].startswith(f"1 case broke since {sha('acme 4')[:10]}: S2.4 A Torn Copy")
    assert lines[1] == "deep/report/index.html"


def test_exit_code_is_0_when_nothing_broke(recorded: Path) -> None:
    result = run("--baseline", sha("acme 5"), "--out", "report", "--project", "acme", "--run", newest_robot())
    assert result.return_value == 0
    assert result.output.startswith("Nothing broke since")


def newest_robot() -> str:
    with ResultStore.open() as store:
        return store.runs(name="Suites")[0].id


def test_json_on_standard_output_is_the_file(recorded: Path) -> None:
    result = run("--baseline", "previous", "--out", "report", "--json")
    value = json.loads(result.output)
    assert value == json.loads((recorded / "report/report.json").read_text())
    assert value["broke"] is True


def test_a_report_is_replaced_and_other_files_are_left_alone(recorded: Path) -> None:
    folder = recorded / "report"
    folder.mkdir()
    (folder / "index.html").write_text("old")
    (folder / "mine.txt").write_text("mine")
    run("--baseline", "previous", "--out", "report")
    assert {path.name for path in folder.iterdir()} == FILES | {"mine.txt"}
    assert (folder / "index.html").read_text() != "old"


def test_a_baseline_that_is_not_there(recorded: Path) -> None:
    message = error("--baseline", "v9.9", "--out", "report")
    assert message.startswith(
        "baseline 'v9.9': no such run, revision or branch in the store; there are runs of"
    )
    assert not (recorded / "report").exists()


def test_a_store_that_is_not_there_or_is_empty(recorded: Path) -> None:
    assert "nowhere.db" in error("--baseline", "main", "--out", "report", "--store", "nowhere.db")
    assert not (recorded / "nowhere.db").exists()
    ResultStore.open("empty.db").close()
    assert "has no runs" in error("--baseline", "main", "--out", "report", "--store", "empty.db")
    assert "has no runs" in error("--baseline", "main", "--out", "report", "--project", "other")


@pytest.mark.parametrize("out", ["file", "file/report"])
def test_a_folder_that_is_a_file(recorded: Path, out: str) -> None:
    (recorded / "file").write_text("mine")
    assert error("--baseline", "previous", "--out", out).startswith(f"{out}: cannot be")
    assert (recorded / "file").read_text() == "mine"


def test_a_folder_that_is_not_writable(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recorded / "report").mkdir(mode=0o500)
    if os.access(recorded / "report", os.W_OK):  # root may write everywhere
        monkeypatch.setattr(output.os, "access", lambda path, mode: False)
    assert "report: cannot be written" in error("--baseline", "previous", "--out", "report")
    assert list((recorded / "report").iterdir()) == []


def test_nothing_is_half_written(recorded: Path) -> None:
    (recorded / "report" / "junit.xml").mkdir(parents=True)
    assert "junit.xml: cannot be written" in error("--baseline", "previous", "--out", "report")
    assert [path.name for path in (recorded / "report").iterdir()] == ["junit.xml"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path), None, str(len(data)))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BrownoutError, match=r"report: .*No space left"):
        output.write_report(tmp_path / "report", {"a": b""})
    assert list(tmp_path.iterdir()) == []


def test_one_of_revision_and_run(recorded: Path) -> None:
    message = error("--baseline", "previous", "--out", "report", "--revision", "x", "--run", "y")
    assert message == "--revision, --run: expected one of the two"


def test_help_has_examples() -> None:
    result = CliRunner().invoke(cli, ["report", "--help"])
    assert "brownout report --baseline main --out report" in result.output
    assert result.exit_code == 0


# -- with git, and with firmware


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def commits(tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository with four commits, the second tagged."""
    folder = tmp_path / "sources"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    found = []
    for number in range(4):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"change {number}\n\nwhy")
        found.append(git(folder, "rev-parse", "HEAD"))
    git(folder, "tag", "v1.0", found[1])
    return folder, found


def test_a_tag_is_a_baseline_and_the_commit_is_named(
    commits: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, shas = commits
    history = History()
    for number, letter in ((0, "p"), (1, "p"), (3, "f")):
        history.add(cases=cases_of(letter), revision=Revision(commit=shas[number], branch="main"))
    with ResultStore.open(str(tmp_path / "r.db")) as store:
        for made in history.runs:
            store.add(made)
    monkeypatch.chdir(folder)
    result = run("--baseline", "v1.0", "--out", "report", "--store", str(tmp_path / "r.db"))
    assert result.output.startswith(f"1 case broke since v1.0 ({shas[1][:10]}): S1 Boots.")
    text = (folder / "report/report.md").read_text()
    assert f'fails since {shas[3][:10]} "change 3"' in text
    assert "one of 2 commits since" in text


def test_git_knows_nothing_of_other_commits(commits: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, shas = commits
    known = Commits(folder)
    assert (known.subject(shas[2]), known.between(shas[0], shas[2])) == ("change 2", 2)
    assert (known.subject(sha("other")), known.between(sha("other"), shas[0])) == ("", None)
    assert (known.subject(""), known.between("", shas[0])) == ("", None)
    assert Commits(tmp_path / "nowhere").subject(shas[0]) == ""


def test_an_image_without_debug_information_gives_no_line(probe_elf: Path, history: History) -> None:
    digest = hashlib.sha256(probe_elf.read_bytes()).hexdigest()
    firmware = [FirmwareImage(name="probe.elf", sha256=digest, size=1)]
    place = Location(file="", symbol="main+0x12")
    assert (
        Locator([probe_elf.parent], probe_elf.parent)(history.add(SWEEP, firmware=firmware), place) == place
    )


def test_a_symbol_has_file_and_line(tmp_path: Path, history: History) -> None:
    source = tmp_path / "src" / "nvmc.c"
    source.parent.mkdir()
    source.write_text("int words;\n\nint nvmc_erase(int page)\n{\n    return page + words;\n}\n")
    elf = tmp_path / "build" / "boot.elf"
    elf.parent.mkdir()
    gcc = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-g", "-nostdlib", "-Wl,-e,nvmc_erase"]
    subprocess.run([*gcc, "src/nvmc.c", "-o", str(elf)], check=True, cwd=tmp_path)
    firmware = [FirmwareImage(name="boot.elf", sha256=hashlib.sha256(elf.read_bytes()).hexdigest(), size=1)]
    made = history.add(SWEEP, firmware=firmware)
    locate = Locator([elf.parent], tmp_path)
    place = Location(file="", symbol="nvmc_erase+0x8")
    assert locate(made, place) == Location(file="src/nvmc.c", line=3, symbol="nvmc_erase+0x8")
    assert locate(made, Location(file="", symbol="nowhere")).file == ""
    known = Location(file="kept.c", line=9, symbol="nvmc_erase")
    assert locate(made, known) == known
    assert Locator([elf], Path("/elsewhere"))(made, place).file == str(source)
    other = history.add(SWEEP, firmware=[image("boot.elf", "another build", 900)])
    assert locate(other, place) == place  # a line of other sources would be worse than none
