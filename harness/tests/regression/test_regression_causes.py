"""Many failures of few changes: each change is seen at once, and has evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from regression_runs import ROBOT, SWEEP, History, figure, nothing, sha

from brownout.regression import build
from brownout.regression.build import Wish, build_document
from brownout.regression.causes import causes_of
from brownout.regression.html import render_html
from brownout.regression.markdown import render_markdown
from brownout.regression.model import Change
from brownout.results.model import Better, Case, Result
from brownout.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.regression.model import Document

BREAKS = {"boot": 1, "debug": 2, "swap": 3}
"""What breaks, and with which commit."""
EACH = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    history = History()
    with ResultStore.open(str(tmp_path / "results.db")) as opened:
        for number in range(4):
            cases = [
                Case(
                    name=f"{what} {index:02}",
                    result=Result.FAIL if number >= commit else Result.PASS,
                    message="broken" if number >= commit else "",
                    command=f"robot --test '{what} {index:02}' x.robot",
                )
                for what, commit in BREAKS.items()
                for index in range(EACH)
            ]
            opened.add(history.add(ROBOT, commit=f"acme {number}", cases=cases))
        yield opened


@pytest.fixture
def document(store: ResultStore) -> Document:
    return build_document(store, Wish(baseline=sha("acme 0")), resolve=nothing)


def test_cases_are_grouped_by_the_revision_that_they_fail_since(document: Document) -> None:
    causes = causes_of(document.of(Change.BROKE))
    assert [{case.name.split()[0] for case in cause.cases} for cause in causes] == [
        {"boot"},
        {"debug"},
        {"swap"},
    ]
    assert [len(cause.cases) for cause in causes] == [EACH] * 3
    assert causes[0].text.startswith(f"{EACH} cases fail since {sha('acme 1')[:10]}")


def test_the_first_screen_and_the_comment_name_a_case_of_each(document: Document) -> None:
    page, comment = render_html(document), render_markdown(document)
    head = page[page.index("<header>") : page.index("</header>")]
    for number, what in enumerate(BREAKS, 1):
        assert f"{what} 00" in head
        assert f"{EACH - 1} more since then" in head
        heading = f"### {EACH} cases fail since {sha(f'acme {number}')[:10]}"
        assert heading in comment
        assert f"#### {what} 00" in comment
    assert comment.index("#### boot 00") < comment.index("#### debug 00") < comment.index("#### swap 00")


def test_evidence_is_looked_at_of_every_cause(
    store: ResultStore, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_MOST_EVIDENCE", 7)
    again = build_document(store, Wish(baseline=sha("acme 0")), resolve=nothing)
    seen = [case.name.split()[0] for case in again.cases if not case.evidence_left_out]
    assert sorted(seen) == ["boot"] * 3 + ["debug"] * 2 + ["swap"] * 2
    assert all(not case.evidence_left_out for case in document.cases[:10])


def test_a_case_without_a_history_is_in_a_group_of_its_own(document: Document) -> None:
    broke = document.of(Change.BROKE)
    unknown = replace(broke[0], since=None)
    (*_, last) = causes_of([unknown, *broke[1:]])
    assert list(last.cases) == [unknown]
    assert last.text == "1 case fails, nobody knows since when"


@pytest.mark.parametrize(
    ("before", "now", "told"), [(1500, 7500, True), (1500, 1500, False), (7500, 1500, False)]
)
def test_a_finding_of_a_larger_sweep_may_be_older(tmp_path: Path, before: int, now: int, told: bool) -> None:
    history = History()
    with ResultStore.open(str(tmp_path / "results.db")) as store:
        for commit, points, cases in (
            ("acme 0", before, []),
            ("acme 1", now, [Case(name="brick after a torn erase", result=Result.FAIL)]),
        ):
            figures = [figure("sweep.points", points, better=Better.NEITHER, noisy=False, unit="points")]
            store.add(history.add(SWEEP, commit=commit, cases=cases, figures=figures))
        document = build_document(store, Wish(baseline=sha("acme 0")), resolve=nothing)
    words = "that sweep made 1,500 cuts and faults, the first that fails 7,500: it may have been there before"
    assert (words in render_markdown(document)) is told
