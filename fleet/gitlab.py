"""Services of a group on GitLab, with those of its subgroups, by the REST API (version 4)."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from . import records
from .api import Client, LimitedError, NotFoundError
from .model import ANSWERS, BRANCH, LARGEST, PYPROJECT, WAIVERS, Reading
from .programs import Credentials
from .template import answers_of
from .words import UnreadableError

API = "https://gitlab.com/api/v4"
VARIABLES = ("GITLAB_TOKEN",)
JOB = "hardening"
"""The job of the emitted pipeline that runs `verify`."""
RECORD = ".hardening/last-verify.json"
DOWNLOADS = 6
"""Jobs that are looked at for a whole run: those of a week's nights come before one."""


class GitLab:
    """Reads the services of one group.

    Args:
        owner: The group's path, such as `platform/services`.
        client: Asks the server.
    """

    def __init__(self, owner: str, client: Client, token: str) -> None:
        self.owner = owner
        self.client = client
        self._token = token
        self.others = 0
        self._requests: dict[int, str] = {}

    @staticmethod
    def authorization(token: str) -> tuple[str, str] | None:
        return ("PRIVATE-TOKEN", token) if token else None

    def services(self) -> Iterator[tuple[Reading, Any]]:
        """Each project that has an answers file.

        Raises:
            UnreadableError: The list cannot be read.
        """
        group = f"groups/{quote(self.owner, safe='')}"
        asked = f"{group}/merge_requests?state=opened&scope=all&source_branch={BRANCH}&per_page=100"
        self._requests = {
            each["target_project_id"]: each["web_url"]
            for each in self.client.pages(asked)
            if each["source_project_id"] == each["target_project_id"]
        }
        query = "include_subgroups=true&with_shared=false&archived=false&order_by=path&sort=asc&per_page=100"
        for project in self.client.pages(f"{group}/projects?{query}"):
            if project.get("empty_repo") or not project.get("default_branch"):
                continue
            reading = Reading(project["path_with_namespace"], link=project["web_url"])
            reading.request = self._requests.get(project["id"], "")
            try:
                text, reading.head = self._file(project, ANSWERS)
                reading.answers = answers_of(text)
            except NotFoundError:
                self.others += 1
                continue
            except LimitedError:
                raise
            except UnreadableError as error:
                reading.problem, reading.remedy = str(error), error.remedy
            yield reading, project

    def _file(self, project: dict[str, Any], path: str) -> tuple[str, str]:
        """A file of the default branch, and that branch's commit."""
        ref = quote(project["default_branch"], safe="")
        address = f"projects/{int(project['id'])}/repository/files/{quote(path, safe='')}/raw?ref={ref}"
        answer = self.client.get(address, largest=LARGEST)
        return answer.content.decode("utf-8", "replace"), answer.headers.get("x-gitlab-commit-id", "")

    def complete(self, reading: Reading, project: Any) -> None:
        """Add the files and the records of a service."""
        branch = project["default_branch"]
        path = f"projects/{int(project['id'])}"
        ref = quote(reading.head or branch, safe="")
        try:
            asked = f"{path}/repository/tree?recursive=true&per_page=100&pagination=keyset&ref={ref}"
            reading.tree = {each["path"]: each["id"] for each in self.client.pages(asked) if each["type"] != "tree"}
        except LimitedError:
            raise
        except (UnreadableError, KeyError, TypeError):
            reading.tree = None  # drift is said to be unknown
        for name in (WAIVERS, PYPROJECT):
            if name in (reading.tree or {}):
                try:
                    reading.files[name] = self._file(project, name)[0]
                except LimitedError:
                    raise
                except UnreadableError as error:
                    reading.problem, reading.remedy = f"{name}: {error}", error.remedy
        try:
            reading.records = self._records(path, branch)
            reading.no_records = f"no finished job {JOB!r} of branch {branch} has artifacts"
        except LimitedError:
            raise
        except (UnreadableError, KeyError, TypeError) as error:
            reading.no_records = f"its jobs cannot be read: {error}"

    def _records(self, path: str, branch: str) -> list[dict[str, Any]]:
        # By its jobs: the artifacts of a branch are those of its last pipeline that succeeded, and hide a red one.
        jobs = self.client.get(f"{path}/jobs?scope[]=success&scope[]=failed&per_page=100").json()
        found: list[dict[str, Any]] = []
        fitting = (each for each in jobs if each["name"] == JOB and each["ref"] == branch and not each.get("tag"))
        for number, job in enumerate(fitting):
            if number == DOWNLOADS or any(map(records.is_whole, found)):
                break
            try:
                answer = self.client.get(f"{path}/jobs/{int(job['id'])}/artifacts/{RECORD}", largest=LARGEST)
            except NotFoundError:  # it failed before it had any, or they have expired
                continue
            record = records.parse(answer.content)
            found += [record] if record else []
        return found

    def credentials(self) -> Credentials | None:
        parts = urlsplit(self.client.base)
        return Credentials(f"{parts.scheme}://{parts.netloc}/", "oauth2", self._token) if self._token else None

    def propose(self, reading: Reading, project: Any, title: str, body: str) -> str:
        """Open a merge request from the update's branch; its address."""
        request = {
            "title": title,
            "description": body,
            "source_branch": BRANCH,
            "target_branch": project["default_branch"],
            "remove_source_branch": True,
        }
        answer = self.client.post(f"projects/{int(project['id'])}/merge_requests", request).json()
        return str(answer.get("web_url", "")) if isinstance(answer, dict) else ""

    @staticmethod
    def clone_address(project: Any) -> str:
        return str(project["http_url_to_repo"])
