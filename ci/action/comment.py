"""Puts a report into a comment on a pull or merge request, and later reports into the same comment.

    python3 comment.py github|gitlab report.md

It needs only Python. Everything else comes from the variables that GitHub Actions and GitLab CI set:

    github: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN, BROWNOUT_PULL_REQUEST (its number)
    gitlab: CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID, BROWNOUT_GITLAB_TOKEN
    both:   BROWNOUT_NAME, which of several reports of one request this is (default: brownout)

Exit code: 0 done, 2 error: one line on standard error.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

TIMEOUT_S: Final = 30.0
PER_PAGE: Final = 100
PAGES: Final = 50
LONGEST: Final = 65_530
"""Characters; GitHub takes 65,536, GitLab a million."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class CommentError(Exception):
    """The comment cannot be made: what, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the comments of a request are, and how they are asked for."""

    comments: str
    """URL of the request's comments."""
    comment: str
    """URL of one comment, with {id}."""
    update: str
    """HTTP method that changes a comment."""
    headers: dict[str, str]
    user: str
    """URL that tells who we are; "" where a token of GitHub's own cannot ask."""


def main() -> int:
    """Do what the command line says."""
    try:
        host, report = arguments()
        print(publish(host_of(host), read_report(report)))
    except CommentError as error:
        print(f"ci: comment: {error}", file=sys.stderr)
        return 2
    return 0


def arguments() -> tuple[str, Path]:
    """Name of the host and the report."""
    if len(sys.argv) != 3:
        raise CommentError("expected: comment.py github|gitlab REPORT.md")
    return sys.argv[1], Path(sys.argv[2])


def marker() -> str:
    """First line of the comment, by which the next report finds it."""
    name = os.environ.get("BROWNOUT_NAME") or "brownout"
    if NAME.fullmatch(name) is None:
        raise CommentError(f"BROWNOUT_NAME: '{name}': expected letters, digits, '_', '.' and '-'")
    return f"<!-- brownout-ci: {name} -->"


def read_report(path: Path) -> str:
    """Text of the comment. Raises CommentError: there is no report, or it is no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommentError(f"{path}: cannot be read: was a report made?") from error
    return f"{marker()}\n{text}"[:LONGEST]


def host_of(name: str) -> Host:
    """GitHub or GitLab, as the environment describes it. Raises CommentError: something is missing."""
    if name == "github":
        api, repository = variable("GITHUB_API_URL"), variable("GITHUB_REPOSITORY")
        issues = f"{api}/repos/{repository}/issues"
        return Host(
            comments=f"{issues}/{number('BROWNOUT_PULL_REQUEST')}/comments",
            comment=f"{issues}/comments/{{id}}",
            update="PATCH",
            headers={
                "Authorization": f"Bearer {variable('GITHUB_TOKEN')}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            user="",
        )
    if name == "gitlab":
        api = variable("CI_API_V4_URL")
        project = urllib.parse.quote(variable("CI_PROJECT_ID"), safe="")
        notes = f"{api}/projects/{project}/merge_requests/{number('CI_MERGE_REQUEST_IID')}/notes"
        return Host(
            comments=notes,
            comment=f"{notes}/{{id}}",
            update="PUT",
            headers={"PRIVATE-TOKEN": variable("BROWNOUT_GITLAB_TOKEN")},
            user=f"{api}/user",
        )
    raise CommentError(f"'{name}': expected github or gitlab")


def variable(name: str) -> str:
    """A variable that has to be there."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise CommentError(f"{name} is not set")
    return value


def number(name: str) -> int:
    """A variable that is a number above 0."""
    value = variable(name)
    if re.fullmatch(r"[1-9][0-9]{0,17}", value) is None:
        raise CommentError(f"{name}: '{value}': expected the number of the request")
    return int(value)


def publish(host: Host, body: str) -> str:
    """Change our comment, or make it; says which. Raises CommentError."""
    own = former(host, body.partition("\n")[0])
    if own is not None:
        call(host, host.update, host.comment.format(id=own), {"body": body})
        return f"ci: comment: {own} updated"
    made = call(host, "POST", host.comments, {"body": body})
    return f"ci: comment: {made.get('id') if isinstance(made, dict) else ''} made"


def former(host: Host, mark: str) -> int | None:
    """Id of the comment that an earlier report made; anybody can write the mark, so it must be ours."""
    user = call(host, "GET", host.user) if host.user else None
    for page in range(1, PAGES + 1):
        found = call(host, "GET", f"{host.comments}?per_page={PER_PAGE}&page={page}")
        if not isinstance(found, list):
            raise CommentError(f"{host.comments}: expected a list of comments")
        for one in found:
            if str(one.get("body") or "").startswith(mark) and is_ours(one, user):
                return int(one["id"])
        if len(found) < PER_PAGE:
            return None
    return None


def is_ours(comment: dict[str, Any], user: Any) -> bool:
    """Whether we wrote it: on GitLab the token's user, on GitHub the bot that every workflow is."""
    if user is not None:
        return bool((comment.get("author") or {}).get("id") == user.get("id"))
    return bool((comment.get("user") or {}).get("login") == "github-actions[bot]")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection would take the token along to wherever it points."""

    def redirect_request(self, *_arguments: Any) -> NoReturn:
        """Refuse."""
        raise CommentError("the server redirects: is the address of its API right?")


def call(host: Host, method: str, url: str, document: dict[str, str] | None = None) -> Any:
    """What the server answers, as JSON. Raises CommentError: no answer, or it refuses."""
    if not url.startswith(("https://", "http://")):
        raise CommentError(f"{url}: expected an address of the web")
    request = urllib.request.Request(  # noqa: S310 - looked at above
        url,
        method=method,
        data=None if document is None else json.dumps(document).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "brownout-ci", **host.headers},
    )
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        hint = ": may this token write comments?" if error.code in (401, 403, 404) else ""
        raise CommentError(f"{method} {url}: {error.code} {error.reason}{hint}") from error
    except (OSError, ValueError) as error:
        raise CommentError(f"{method} {url}: {getattr(error, 'reason', error)}") from error


if __name__ == "__main__":
    sys.exit(main())
