"""The example resource, and how a test of yours may look. This file is yours."""

import pytest
from fastapi.testclient import TestClient

ALICE = {"username": "alice", "email": "alice@example.com"}


def test_a_user_is_kept_and_found(client: TestClient) -> None:
    created = client.post("/users", json=ALICE)
    assert created.status_code == 201

    found = client.get(f"/users/{created.json()['id']}")

    assert found.status_code == 200
    assert found.json() == {**ALICE, "id": created.json()["id"]}


@pytest.mark.parametrize(
    "wrong",
    [{"username": "al"}, {"username": "a" * 31}, {"username": "al ice"}, {"email": "alice"}, {"is_admin": True}],
    ids=str,
)
def test_a_user_that_breaks_a_rule_is_refused(client: TestClient, wrong: dict[str, object]) -> None:
    answer = client.post("/users", json={**ALICE, **wrong})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_user_that_is_not_there_is_a_404(client: TestClient) -> None:
    answer = client.get("/users/00000000-0000-0000-0000-000000000000")

    assert answer.status_code == 404
    assert answer.json()["title"] == "No such user"
