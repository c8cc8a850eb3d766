"""Keys, scopes, and who is answered at all."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.service import (
    REMEMBERED_FOR,
    KeyNameTaken,
    KeyNameUnreadable,
    KeyNeeded,
    Scope,
    create_key,
    refuse_open_service,
    revoke_key,
)
from app.config import Settings
from app.models import ApiKey, AuditLog
from tests.app.serving import serving

Read = Callable[[str | None], int]


@pytest.fixture
def status_with(client: httpx.Client) -> Read:
    """The status of reading the runs with a token."""

    def read(token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return client.get("/v1/runs", headers=headers).status_code

    return read


def key(session: Session, name: str, *scopes: Scope, expires_at: datetime | None = None) -> str:
    token = create_key(session, name, list(scopes), expires_at)
    session.commit()
    return token


def test_on_loopback_without_keys_all_pass(status_with: Read) -> None:
    assert status_with(None) == 200
    assert status_with("pkpo_of_another_server") == 200


def test_once_there_is_a_key_every_request_needs_one(session: Session, status_with: Read) -> None:
    token = key(session, "laptop", "read")
    assert status_with(token) == 200
    assert status_with(None) == 401
    assert status_with(token[:-1] + ("A" if token[-1] != "A" else "B")) == 401


def test_a_401_says_what_to_send(session: Session, client: httpx.Client) -> None:
    key(session, "laptop", "read")
    answer = client.get("/v1/runs")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "unauthorized"
    assert "Authorization: Bearer" in answer.json()["detail"]


def test_a_key_does_only_what_its_scopes_say(session: Session, client: httpx.Client) -> None:
    reader = {"Authorization": f"Bearer {key(session, 'reader', 'read')}"}
    evaluation = {"run": "llama", "step": 0, "problem_set": "math"}
    answer = client.post("/v1/evaluations", json=evaluation, headers=reader)
    assert (answer.status_code, answer.json()["type"]) == (403, "forbidden")
    writer = {"Authorization": f"Bearer {key(session, 'writer', 'write')}"}
    assert client.post("/v1/evaluations", json=evaluation, headers=writer).status_code == 201
    assert client.get("/v1/runs", headers=writer).status_code == 403


def test_a_transform_needs_the_scope_read_as_its_document_says(session: Session, client: httpx.Client) -> None:
    groups = {"rewards": [[1, 0]], "k": 1}
    reader = {"Authorization": f"Bearer {key(session, 'reader', 'read')}"}
    writer = {"Authorization": f"Bearer {key(session, 'writer', 'write')}"}
    assert client.post("/v1/transforms", json=groups, headers=reader).status_code == 200
    assert client.post("/v1/transforms", json=groups, headers=writer).json()["type"] == "forbidden"
    assert (
        client.post("/v1/transforms", content=b"", headers={"Authorization": "Bearer pkpo_unknown"}).status_code == 401
    )
    documented = client.get("/openapi.json").json()["paths"]["/v1/transforms"]["post"]
    assert documented["security"] == [{"HTTPBearer": ["read"]}]


def test_an_expired_key_is_no_key(session: Session, status_with: Read) -> None:
    key(session, "current", "read")
    assert status_with(key(session, "old", "read", expires_at=datetime.now(UTC) - timedelta(seconds=1))) == 401


def test_the_last_key_does_not_open_the_service_by_expiring(session: Session, status_with: Read) -> None:
    expired = key(session, "only", "read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert status_with(None) == 401
    assert status_with(expired) == 401
    assert revoke_key(session, "only")
    session.commit()
    assert status_with(None) == 200


@pytest.mark.parametrize("name", ["", "two\nlines", "a\tb", "\ud800", "x" * 201])
def test_a_key_has_a_name_that_can_be_listed(session: Session, name: str) -> None:
    with pytest.raises(KeyNameUnreadable, match="1 to 200 printable"):
        create_key(session, name, ["read"], None)


def test_a_revoked_key_is_refused_within_a_second(session: Session, status_with: Read) -> None:
    key(session, "other", "read")
    token = key(session, "lost", "read")
    assert status_with(token) == 200
    assert revoke_key(session, "lost")
    session.commit()
    time.sleep(REMEMBERED_FOR)
    assert status_with(token) == 401
    assert not revoke_key(session, "lost")


def test_only_the_digest_of_a_key_is_stored(session: Session) -> None:
    token = key(session, "laptop", "read", "write")
    assert re.fullmatch(r"pkpo_[A-Za-z0-9_-]{43}", token), "256 random bits"
    stored = session.scalars(select(ApiKey)).one()
    assert token.encode() not in stored.sha256
    assert len(stored.sha256) == 32
    assert [(entry.action, entry.subject) for entry in session.scalars(select(AuditLog))] == [("key.create", "laptop")]


def test_two_keys_cannot_share_a_name(session: Session) -> None:
    key(session, "laptop", "read")
    with pytest.raises(KeyNameTaken, match="laptop"):
        create_key(session, "laptop", ["read"], None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pkpo.example.org"])
def test_a_host_that_others_reach_refuses_to_start_without_a_key(
    session: Session, database_url: str, host: str
) -> None:
    settings = Settings(host=host, database_url=SecretStr(database_url))
    with pytest.raises(KeyNeeded, match="pkpo keys create"):
        refuse_open_service(session, settings)
    key(session, "team", "read")
    refuse_open_service(session, settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_starts_without_a_key(session: Session, database_url: str, host: str) -> None:
    refuse_open_service(session, Settings(host=host, database_url=SecretStr(database_url)))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("192.168.1.5:8000", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("rebound.example", 400),
        ("LocalHost:8000", 200),
        ("localhost.rebound.example", 400),
        ("127.0.0.1:<script>", 400),
        ("[fe80::1%<script>]", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_a_name_that_is_not_ours_is_not_answered(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_a_name_that_the_operator_allows_is_answered_however_it_is_written(database_url: str) -> None:
    with serving(database_url, allowed_hosts=["Pkpo.Example.org"]) as url:
        assert httpx.get(f"{url}/healthz", headers={"Host": "pkpo.example.ORG"}, timeout=60).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_cannot_write(client: httpx.Client, site: str) -> None:
    answer = client.post("/v1/evaluations", json={}, headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, answer.json()["type"]) == (403, "cross-site")


def test_a_body_is_refused_at_its_limit_with_and_without_a_declared_length(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    body = b" " * (25 * 2**20 + 1)
    declared = client.post("/v1/evaluations", content=body, headers=headers)
    streamed = client.post("/v1/evaluations", content=iter([body[: 2**20]] * 26), headers=headers)
    for answer in (declared, streamed):
        assert (answer.status_code, answer.json()["type"]) == (413, "body-too-large")


def test_every_answer_tells_browsers_not_to_guess(client: httpx.Client) -> None:
    for path in ("/healthz", "/nowhere", "/v1/runs"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_readiness_is_about_the_schema(client: httpx.Client) -> None:
    assert client.get("/readyz").json() == {"status": "ok"}


def test_a_browser_signs_in_with_a_key_as_its_password_for_what_only_reads(
    session: Session, client: httpx.Client
) -> None:
    token = key(session, "reader", "read", "write")
    browser = {"Accept": "text/html"}
    refused = client.get("/", headers=browser)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert "as the password" in refused.text
    for path in ("/", "/v1/runs"):
        assert client.get(path, headers=browser, auth=("anyone", token)).status_code == 200
        assert client.get(path, headers=browser, auth=("anyone", token[:-2])).status_code == 401
    # Browsers add it to what another site's page has them post.
    run = {"run": "r", "step": 0, "problem_set": "s"}
    assert client.post("/v1/evaluations", json=run, auth=("anyone", token)).status_code == 401


@pytest.mark.parametrize("value", ["Basic", "Basic %%%", "Basic /w==", "Basic cGtwbw==", "basic", "Basic é"])
def test_a_sign_in_that_holds_no_key_is_refused(session: Session, client: httpx.Client, value: str) -> None:
    key(session, "reader", "read")
    assert client.get("/", headers=[(b"Authorization", value.encode("latin-1"))]).status_code == 401
