"""Services of an organisation or a person on GitHub or GitHub Enterprise Server.

One question of its GraphQL API lists 50 repositories with what is needed of each; files and artifacts of a service take
three or four calls of REST.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from . import records
from .api import Client, LimitedError
from .model import ANSWERS, BRANCH, LARGEST, PYPROJECT, WAIVERS, Reading
from .programs import Credentials
from .template import answers_of
from .words import UnreadableError

API = "https://api.github.com"
PUBLIC = "https://github.com"
VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN")
ARTIFACT = "proof"
"""What the emitted workflow calls the folder `.hardening`."""
DOWNLOADS = 6
"""Artifacts that are looked at for a whole run: those of a week's nights come before one."""

_QUERY = """
query($owner: String!, $cursor: String) {
  repositoryOwner(login: $owner) {
    repositories(first: 50, after: $cursor, ownerAffiliations: OWNER, orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        name nameWithOwner url isArchived isEmpty databaseId
        defaultBranchRef { name target { oid } }
        answers: object(expression: "HEAD:%s") { ... on Blob { text } }
        waivers: object(expression: "HEAD:%s") { ... on Blob { text } }
        pyproject: object(expression: "HEAD:%s") { ... on Blob { text } }
        pullRequests(headRefName: "%s", states: OPEN, first: 5) { nodes { url isCrossRepository } }
      }
    }
  }
}
""" % (ANSWERS, WAIVERS, PYPROJECT, BRANCH)  # noqa: UP031 - braces are GraphQL's


class GitHub:
    """Reads the services of one owner.

    Args:
        owner: An organisation, or a person.
        client: Asks the server; its base is that of REST.
    """

    def __init__(self, owner: str, client: Client, token: str) -> None:
        self.owner = owner
        self.client = client
        self._token = token
        self.others = 0
        self._default: dict[str, str] = {}

    @staticmethod
    def authorization(token: str) -> tuple[str, str] | None:
        return ("Authorization", f"Bearer {token}") if token else None

    @property
    def _graphql(self) -> str:
        """https://docs.github.com/en/enterprise-server/graphql/guides/forming-calls-with-graphql"""
        base = self.client.base
        return base.removesuffix("/v3") + "/graphql" if base.endswith("/api/v3") else base + "/graphql"

    def services(self) -> Iterator[tuple[Reading, Any]]:
        """Each service, without what takes calls of its own, and what `complete` needs to know of it.

        Raises:
            UnreadableError: The list cannot be read.
        """
        cursor = None
        while True:
            answer = self.client.post(
                self._graphql, {"query": _QUERY, "variables": {"owner": self.owner, "cursor": cursor}}
            ).json()
            errors = answer.get("errors") if isinstance(answer, dict) else None
            data = (answer.get("data") or {}) if isinstance(answer, dict) else {}
            owner = data.get("repositoryOwner")
            if not owner:
                raise _refused(errors, self.owner)
            for node in owner["repositories"]["nodes"]:
                if node and not node["isArchived"] and not node["isEmpty"] and node["defaultBranchRef"]:
                    if node["answers"]:
                        yield self._begun(node), node
                    else:
                        self.others += 1
            page = owner["repositories"]["pageInfo"]
            if not page["hasNextPage"]:
                return
            cursor = page["endCursor"]

    def _begun(self, node: dict[str, Any]) -> Reading:
        reading = Reading(node["nameWithOwner"], link=node["url"])
        reading.head = node["defaultBranchRef"]["target"]["oid"]
        for path, key in ((WAIVERS, "waivers"), (PYPROJECT, "pyproject")):
            if node[key] and node[key].get("text") is not None:
                reading.files[path] = node[key]["text"]
        own = [each["url"] for each in node["pullRequests"]["nodes"] if not each["isCrossRepository"]]
        reading.request = own[0] if own else ""
        try:
            reading.answers = answers_of(node["answers"].get("text") or "")
        except UnreadableError as error:
            reading.problem, reading.remedy = str(error), error.remedy
        return reading

    def complete(self, reading: Reading, node: Any) -> None:
        """Add the files and the records of a service."""
        repository = "/".join(quote(part, safe="") for part in node["nameWithOwner"].split("/"))
        path = f"repos/{repository}"
        try:
            listed = self.client.get(f"{path}/git/trees/{reading.head}?recursive=1").json()
            if not listed.get("truncated"):
                reading.tree = {each["path"]: each["sha"] for each in listed["tree"] if each["type"] != "tree"}
        except LimitedError:
            raise
        except (UnreadableError, KeyError, TypeError, AttributeError):
            reading.tree = None  # drift is said to be unknown
        try:
            reading.records = self._records(path, node)
            reading.no_records = f"no artifact {ARTIFACT!r} of branch {node['defaultBranchRef']['name']}"
        except LimitedError:
            raise
        except (UnreadableError, KeyError, TypeError, AttributeError) as error:
            reading.no_records = f"its artifacts cannot be read: {error}"

    def _records(self, path: str, node: dict[str, Any]) -> list[dict[str, Any]]:
        listed = self.client.get(f"{path}/actions/artifacts?name={ARTIFACT}&per_page=50").json()
        branch = node["defaultBranchRef"]["name"]
        found: list[dict[str, Any]] = []
        fitting = [
            each
            for each in listed["artifacts"]
            # A fork may call its branch the same, and its artifacts say what it likes.
            if not each["expired"]
            and (run := each.get("workflow_run") or {}).get("head_branch") == branch
            and run.get("head_repository_id") == run.get("repository_id") == node["databaseId"]
        ]
        for artifact in sorted(fitting, key=lambda each: str(each["created_at"]), reverse=True)[:DOWNLOADS]:
            content = self.client.get(f"{path}/actions/artifacts/{int(artifact['id'])}/zip", largest=LARGEST * 5)
            found += _unpacked(content.content)
            if any(map(records.is_whole, found)):
                break
        return found

    def credentials(self) -> Credentials | None:
        parts = urlsplit(self.client.base)
        base = f"{PUBLIC}/" if self.client.base == API else f"{parts.scheme}://{parts.netloc}/"
        return Credentials(base, "x-access-token", self._token) if self._token else None

    def propose(self, reading: Reading, node: Any, title: str, body: str) -> str:
        """Open a pull request from the update's branch; its address."""
        repository = "/".join(quote(part, safe="") for part in node["nameWithOwner"].split("/"))
        request = {"title": title, "body": body, "head": BRANCH, "base": node["defaultBranchRef"]["name"]}
        answer = self.client.post(f"repos/{repository}/pulls", request).json()
        return str(answer.get("html_url", "")) if isinstance(answer, dict) else ""

    @staticmethod
    def clone_address(node: Any) -> str:
        return f"{node['url']}.git"


def _refused(errors: Any, owner: str) -> UnreadableError:
    said = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    if any(each.get("type") == "RATE_LIMITED" for each in said):
        return LimitedError("the server's limit for this token is used up", "Run it again in an hour.")
    reason = "; ".join(str(each.get("message", "")) for each in said) or f"there is no organisation {owner}"
    return UnreadableError(
        f"GitHub lists nothing for {owner}: {reason[:200]}", "Look at the name and at the token's scopes."
    )


def _unpacked(content: bytes) -> list[dict[str, Any]]:
    """The records in an artifact."""
    found = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                name = entry.filename.rpartition("/")[2]
                if name.endswith(".json") and entry.file_size <= LARGEST:
                    with archive.open(entry) as file:
                        record = records.parse(file.read(LARGEST))
                    found += [record] if record else []
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError) as error:
        raise UnreadableError(f"an artifact is no archive: {error}", "Run the workflow again.") from None
    return found
