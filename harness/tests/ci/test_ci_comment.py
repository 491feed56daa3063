"""ci/action/comment.py against a server on this machine that keeps comments as GitHub and GitLab do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ci_project import ACTION, TIMEOUT_S, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOT = "github-actions[bot]"
COMMENTS = {
    "github": re.compile(r"/repos/o/r/issues/(?:7/comments|comments/(\d+))"),
    "gitlab": re.compile(r"/projects/o%2Fr/merge_requests/7/notes(?:/(\d+))?"),
}


class Server(ThreadingHTTPServer):
    """Comments of request 7 of o/r, and what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.refuses: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, body: str, *, login: str = BOT, author: int = 42) -> dict[str, Any]:
        comment = {
            "id": len(self.comments) + 1,
            "body": body,
            "user": {"login": login},
            "author": {"id": author},
        }
        self.comments.append(comment)
        return comment


class Handler(BaseHTTPRequestHandler):
    """The part of both APIs that is about comments."""

    server: Server

    def answer(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.tokens.add(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or "")
        document = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        status, answer = 200, self._result(document)
        if self.server.refuses is not None:
            status = self.server.refuses
        elif answer is None:
            status = 404
        body = json.dumps(answer).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _result(self, document: dict[str, str]) -> Any:
        url = urlsplit(self.path)
        if url.path == "/user":
            return {"id": 42}
        match = next((found for one in COMMENTS.values() if (found := one.fullmatch(url.path))), None)
        if match is None:
            return None
        if self.command == "POST":
            return self.server.add(document["body"])
        if match[1] is not None:
            comment = self.server.comments[int(match[1]) - 1]
            comment["body"] = document["body"]
            return comment
        asked = parse_qs(url.query)
        count, page = int(asked["per_page"][0]), int(asked["page"][0])
        return self.server.comments[(page - 1) * count : page * count]

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join(TIMEOUT_S)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text("## It broke\n", encoding="utf-8")
    return path


def comment(host: str, report: Path, server: Server, **changes: str) -> subprocess.CompletedProcess[str]:
    variables = {
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_TOKEN": "secret",
        "BROWNOUT_PULL_REQUEST": "7",
        "CI_API_V4_URL": server.url,
        "CI_PROJECT_ID": "o/r",
        "CI_MERGE_REQUEST_IID": "7",
        "BROWNOUT_GITLAB_TOKEN": "secret",
    }
    return subprocess.run(
        [sys.executable, ACTION / "comment.py", host, report],
        env=environment(**{**variables, **changes}),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize(("host", "update"), [("github", "PATCH"), ("gitlab", "PUT")])
def test_a_later_report_replaces_the_former_one(server: Server, report: Path, host: str, update: str) -> None:
    for number in range(150):  # more than one page of them
        server.add(f"comment {number}")
    # Anybody can write the mark.
    foreign = server.add("<!-- brownout-ci: brownout -->\nnot ours", login="somebody", author=1)
    made = comment(host, report, server)
    assert (made.returncode, made.stdout, made.stderr) == (0, "ci: comment: 152 made\n", "")
    report.write_text("## It is fixed\n", encoding="utf-8")
    again = comment(host, report, server)
    assert (again.returncode, again.stdout) == (0, "ci: comment: 152 updated\n")
    assert server.asked[-1].startswith(f"{update} ")
    assert [one["body"] for one in server.comments[151:]] == [
        "<!-- brownout-ci: brownout -->\n## It is fixed\n"
    ]
    assert foreign["body"].endswith("not ours")
    assert server.tokens == {"Bearer secret" if host == "github" else "secret"}
    # Another job of the same request has a comment of its own.
    comment(host, report, server, BROWNOUT_NAME="bootloader")
    assert len(server.comments) == 153


def test_a_comment_is_never_too_long(server: Server, report: Path) -> None:
    report.write_text("x" * 200_000)
    assert comment("github", report, server).returncode == 0
    assert 65_000 < len(server.comments[0]["body"]) <= 65_536


def test_what_is_wrong_is_one_line(server: Server, report: Path) -> None:
    def refused(host: str = "github", path: Path = report, **changes: str) -> str:
        done = comment(host, path, server, **changes)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert "secret" not in done.stderr
        return done.stderr.strip().removeprefix("ci: comment: ")

    assert refused("gitea") == "'gitea': expected github or gitlab"
    assert refused(GITHUB_TOKEN="") == "GITHUB_TOKEN is not set"
    assert refused("gitlab", CI_MERGE_REQUEST_IID="x") == (
        "CI_MERGE_REQUEST_IID: 'x': expected the number of the request"
    )
    assert refused(BROWNOUT_NAME="a -->") == (
        "BROWNOUT_NAME: 'a -->': expected letters, digits, '_', '.' and '-'"
    )
    missing = report.with_name("none.md")
    assert refused(path=missing) == f"{missing}: cannot be read: was a report made?"
    assert refused(GITHUB_API_URL="file:///etc").endswith("expected an address of the web")
    assert "Connection refused" in refused(GITHUB_API_URL="http://127.0.0.1:1")
    server.refuses = 403
    assert refused().endswith("403 Forbidden: may this token write comments?")
    server.refuses = 302
    assert refused() == "the server redirects: is the address of its API right?"
    assert not any("elsewhere" in one for one in server.asked)
