"""A forge on loopback: the API of GitHub and GitLab over repositories on disk, in the shapes that both document.

It serves what `fleet` asks for and nothing else, demands the token, notes every request, and can be told to fail.
"""

import base64
import io
import json
import os
import re
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .releases import git

TOKEN = "ghp_s3cret0123456789"  # noqa: S105 - of a server of our own
PAGE = 2
"""Entries a page, so that few repositories make several."""


@dataclass
class Project:
    """A repository with what its pipeline left behind: records by age, the newest first."""

    number: int
    name: str
    folder: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    forked: bool = False
    archived: bool = False


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    authorization: str


class Forge(ThreadingHTTPServer):
    """The server. `storage` is another one, where downloads are redirected to."""

    daemon_threads = True

    def __init__(self, projects: list[Project], page: int = PAGE) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.projects = projects
        self.page = page
        self.asked: list[Asked] = []
        self.fail: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
        self.storage: Forge | None = None
        self.requests: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Forge
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        self.server.asked.append(Asked(self.command, self.path, token))
        parts = urlsplit(self.path)
        failure = self.server.fail(self.path)
        if failure:
            self._send(failure[0], b"{}", failure[1])
        elif ".git/" in parts.path:
            self._git(parts.path, parts.query, body, token)
        elif parts.path.startswith("/storage/"):
            self._send(200, self._zip(self._project(parts.path.split("/")[2]), int(parts.path.split("/")[3])))
        elif token not in (f"Bearer {TOKEN}", TOKEN):
            self._send(401, b"{}")
        elif parts.path.startswith("/api/v4/"):
            self._gitlab(parts.path.removeprefix("/api/v4/"), parse_qs(parts.query), body)
        else:
            self._github(parts.path, body)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _json(self, found: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _project(self, number: str) -> Project:
        return next(each for each in self.server.projects if each.number == int(number))

    def _blob(self, project: Project, path: str) -> str | None:
        ran = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=project.folder, capture_output=True, check=False)
        return ran.stdout.decode() if ran.returncode == 0 else None

    def _zip(self, project: Project, index: int) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("last-verify.json", json.dumps(project.records[index]))
            archive.writestr("sbom.json", "{}")
        return packed.getvalue()

    # GitHub

    def _github(self, path: str, body: bytes) -> None:
        if path.endswith("/graphql"):
            return self._graphql(json.loads(body)["variables"])
        match = re.fullmatch(
            r"/api/v3/repos/(.+?)/(git/trees/\w+|actions/artifacts|actions/artifacts/\d+/zip|pulls)", path
        )
        project = next((each for each in self.server.projects if match and each.name == match[1]), None)
        if not match or not project:
            return self._send(404, b"{}")
        if match[2].startswith("git/trees"):
            return self._json({"truncated": False, "tree": tree(project.folder, "sha")})
        if match[2] == "pulls":
            self.server.requests[project.name] = url = f"{self.server.url}/{project.name}/pull/1"
            return self._json({"html_url": url})
        if match[2] == "actions/artifacts":
            found = [self._artifact(project, index) for index in range(len(project.records))]
            return self._json({"total_count": len(found), "artifacts": found})
        index = int(match[2].split("/")[2]) % 1000
        storage = self.server.storage or self.server
        return self._send(302, b"", {"Location": f"{storage.url}/storage/{project.number}/{index}?sig=abc"})

    def _artifact(self, project: Project, index: int) -> dict[str, Any]:
        own = project.number + (1 if project.forked else 0)
        return {
            "id": project.number * 1000 + index,
            "name": "proof",
            "expired": False,
            "created_at": project.records[index]["time"],
            "workflow_run": {"head_branch": "main", "repository_id": project.number, "head_repository_id": own},
        }

    def _graphql(self, variables: dict[str, Any]) -> None:
        if variables["owner"] != "org":
            return self._json({"data": {"repositoryOwner": None}})
        begin = int(variables["cursor"] or 0)
        end = begin + self.server.page
        nodes = []
        for each in self.server.projects[begin:end]:
            texts = {
                key: None if (text := self._blob(each, path)) is None else {"text": text}
                for key, path in (
                    ("answers", ".copier-answers.yml"),
                    ("waivers", "audit-waivers.toml"),
                    ("pyproject", "pyproject.toml"),
                )
            }
            request = self.server.requests.get(each.name)
            nodes.append(
                {
                    **texts,
                    "name": each.name.split("/")[1],
                    "nameWithOwner": each.name,
                    "url": f"{self.server.url}/{each.name}",
                    "isArchived": each.archived,
                    "isEmpty": False,
                    "databaseId": each.number,
                    "defaultBranchRef": {"name": "main", "target": {"oid": head(each.folder)}},
                    "pullRequests": {"nodes": [{"url": request, "isCrossRepository": False}] if request else []},
                }
            )
        info = {"hasNextPage": end < len(self.server.projects), "endCursor": str(end)}
        return self._json({"data": {"repositoryOwner": {"repositories": {"pageInfo": info, "nodes": nodes}}}})

    # GitLab

    def _gitlab(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if path == "groups/org/merge_requests":
            found = [
                {"target_project_id": each.number, "source_project_id": each.number, "web_url": url}
                for each in self.server.projects
                if (url := self.server.requests.get(each.name))
            ]
            return self._json(found)
        if path == "groups/org/projects":
            return self._paged(
                [
                    {
                        "id": each.number,
                        "path_with_namespace": each.name,
                        "web_url": f"{self.server.url}/{each.name}",
                        "http_url_to_repo": f"{self.server.url}/{each.name}.git",
                        "default_branch": "main",
                        "empty_repo": False,
                    }
                    for each in self.server.projects
                    if not each.archived
                ],
                query,
            )
        match = re.fullmatch(r"projects/(\d+)/(.+)", path)
        if not match or not any(str(each.number) == match[1] for each in self.server.projects):
            return self._send(404, b"{}")
        project, rest = self._project(match[1]), match[2]
        if raw := re.fullmatch(r"repository/files/([^/]+)/raw", rest):
            text = self._blob(project, unquote(raw[1]))
            if text is None:
                return self._send(404, b"{}")
            return self._send(200, text.encode(), {"X-Gitlab-Commit-Id": head(project.folder)})
        if rest == "repository/tree":
            return self._paged(tree(project.folder, "id"), query, 100)
        if rest == "merge_requests":
            self.server.requests[project.name] = url = f"{self.server.url}/{project.name}/-/merge_requests/1"
            return self._json({"web_url": url})
        if rest == "jobs":
            jobs = [
                {"id": project.number * 1000 + index, "name": "hardening", "ref": "fork" if project.forked else "main"}
                for index in range(len(project.records))
            ]
            return self._json(jobs)
        if job := re.fullmatch(r"jobs/(\d+)/artifacts/\.hardening/last-verify\.json", rest):
            return self._json(project.records[int(job[1]) % 1000])
        return self._send(404, b"{}")

    def _paged(self, found: list[dict[str, Any]], query: dict[str, list[str]], size: int = 0) -> None:
        size = size or self.server.page
        page = int(query.get("page", ["1"])[0])
        part = found[(page - 1) * size : page * size]
        plain = re.sub(r"&page=\d+", "", self.path)
        more = {"Link": f'<{self.server.url}{plain}&page={page + 1}>; rel="next"'} if page * size < len(found) else {}
        self._json(part, more)

    # git over HTTP

    def _git(self, path: str, query: str, body: bytes, authorization: str) -> None:
        expected = [base64.b64encode(f"{user}:{TOKEN}".encode()).decode() for user in ("x-access-token", "oauth2")]
        if authorization not in [f"Basic {each}" for each in expected]:
            return self._send(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
        name, _, service = path.lstrip("/").partition(".git/")
        project = next(each for each in self.server.projects if each.name == name)
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(project.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/.git/{service}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "fleet",
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=True)
        head_, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head_.decode().split("\r\n"))
        return self._send(int(headers.pop("Status", "200").split()[0]), content, headers)


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD").strip()


def tree(folder: Path, key: str) -> list[dict[str, Any]]:
    """The files of a repository, as both list them."""
    lines = git(folder, "ls-tree", "-r", "HEAD").splitlines()
    return [{"path": line.split("\t")[1], "type": "blob", key: line.split()[2]} for line in lines]


@contextmanager
def served(projects: list[Project], page: int = PAGE) -> Iterator[Forge]:
    """A forge with these repositories, and a storage that it redirects to."""
    with Forge(projects, page) as forge, Forge(projects, page) as storage:
        forge.storage = storage
        for each in (forge, storage):
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield forge
        finally:
            forge.shutdown()
            storage.shutdown()
