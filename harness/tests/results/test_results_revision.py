"""Ids of runs, and what git says."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta, timezone

import pytest

from brownout.results.ids import new_run_id
from brownout.results.model import Revision
from brownout.results.revision import current_revision, project_name, resolve_revision, source_path

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]


def git(folder, *arguments: str) -> str:
    done = subprocess.run(
        [*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "widget"
    (folder / "boot").mkdir(parents=True)
    (folder / "app").mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for name in ("boot/nvmc.c", "boot/main.c", "app/main.c", "top.c"):
        (folder / name).write_text("int x;\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "v1")
    return folder


def test_ids_sort_by_time_and_differ():
    begin = datetime(2026, 11, 24, 0, 16, 31, 42_900, tzinfo=UTC)
    ids = [new_run_id(begin + timedelta(milliseconds=number)) for number in range(2000)]
    assert ids == sorted(ids)
    assert re.fullmatch(r"20261124-001631042-[0-9a-z]{6}", ids[0])
    assert len({new_run_id(begin) for _ in range(200)}) == 200
    elsewhere = begin.astimezone(timezone(timedelta(hours=5)))
    assert new_run_id(elsewhere)[:18] == ids[0][:18]
    assert new_run_id()[:8] >= "20261100"


def test_the_revision_of_a_work_tree(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert current_revision(repository / "boot") == Revision(commit=commit, branch="main", dirty=False)
    (repository / "untracked").write_text("x")
    assert not current_revision(repository).dirty
    (repository / "top.c").write_text("int y;\n")
    assert current_revision(repository).dirty
    git(repository, "checkout", "--quiet", "--detach")
    assert current_revision(repository) == Revision(commit=commit, branch="", dirty=True)


def test_outside_of_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert current_revision(tmp_path) == Revision()
    assert current_revision(tmp_path / "missing") == Revision()
    assert resolve_revision(tmp_path, "main") is None
    assert source_path(tmp_path, "main.c") == ""
    assert project_name(tmp_path) == tmp_path.name
    monkeypatch.setenv("PATH", "")
    assert current_revision(tmp_path) == Revision()


def test_a_repository_without_a_commit_has_no_revision(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert current_revision(tmp_path) == Revision()


def test_names_of_commits(repository):
    commit = git(repository, "rev-parse", "HEAD")
    for name in ("main", "v1", "HEAD", commit, commit[:8]):
        assert resolve_revision(repository, name) == commit
    for name in ("nothing", "", "--help", "main:top.c", "0" * 40):
        assert resolve_revision(repository, name) is None


def test_the_project_is_the_remote_or_the_folder(repository):
    assert project_name(repository / "boot") == "widget"
    for url in ("git@example.org:team/gadget.git", "https://example.org/team/gadget", "/srv/git/gadget.git/"):
        git(repository, "config", "remote.origin.url", url)
        assert project_name(repository) == "gadget"


def test_a_source_file_is_found_when_there_is_one_of_its_name(repository):
    assert source_path(repository / "app", "nvmc.c") == "boot/nvmc.c"
    assert source_path(repository, "top.c") == "top.c"
    for name in ("main.c", "missing.c", "*.c", "../top.c", ""):
        assert source_path(repository, name) == ""
