"""Test what is refused before a route sees it: tokens, hosts, origins, sizes."""

from contextlib import closing
from http.client import HTTPConnection

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install -r requirements.txt")

from fastapi.testclient import TestClient
from running_app import running

from serve import guards
from serve.guards import MAX_BODY

TOKEN = "a-token-of-22-letters."
CAPTION = {"files": {"caption": (None, "a")}}
CLOSED = ("/metrics", "/openapi.json", "/review/picture/4", "/unknown")
OPEN = ("/", "/review", "/docs", "/health", "/pages/try.js")


@pytest.fixture
def open_client(make_app):
    """f(host, **options) -> a client that names `host` as the service's."""
    clients = []

    def make(host="127.0.0.1:8000", **options):
        client = TestClient(make_app(**options), base_url=f"http://{host}")
        clients.append(client.__enter__())
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"bearer {TOKEN}", TOKEN, "Bearer \xff"],
)
def test_without_the_token_only_health_and_empty_pages_answer(open_client, given):
    client = open_client("example.org", token=TOKEN)
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    for path in CLOSED:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    for path in ("/predict", "/review/next", "/review/decide", "/review/undo"):
        assert client.post(path, headers=headers, json={"reviewer": "Ada"}).status_code == 401
    for path in OPEN:
        assert client.get(path, headers=headers).status_code == 200


def test_the_token_opens_every_route(open_client):
    client = open_client("example.org", token=TOKEN)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    assert client.post("/predict", **CAPTION).status_code == 200
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_names_of_this_machine_are_allowed(open_client, host):
    assert open_client(host).get("/health").status_code == 200


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "localhost.example.org"])
def test_other_names_are_refused_without_a_token(open_client, host):
    client = open_client(host)
    assert client.get("/health").status_code == 400
    assert client.post("/predict", **CAPTION).status_code == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("http://127.0.0.1:8001", 403),
        ("http://localhost:8000", 403),
        ("https://example.org", 403),
        ("http://[", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_posts_of_other_origins_are_refused(open_client, origin, status):
    answer = open_client().post("/predict", headers={"Origin": origin}, **CAPTION)
    assert answer.status_code == status


@pytest.mark.parametrize("path", [*OPEN, "/unknown", "/metrics"])
def test_every_response_has_the_security_headers(open_client, path):
    answer = open_client().get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'") and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_a_large_body_is_refused_by_its_declared_size(open_client):
    headers = {"Content-Length": str(MAX_BODY + 1), "Content-Type": "application/json"}
    answer = open_client().post("/predict", content=b"{}", headers=headers)
    assert answer.status_code == 413 and "20000000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/predict", "/review/next"])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_large_body_without_a_declared_size_is_refused(open_client, path, kind):
    def chunks():
        yield b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
        for _ in range(21):
            yield bytes(1_000_000)

    answer = open_client().post(path, content=chunks(), headers={"Content-Type": kind})
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_does_not_arrive_is_refused(make_app, monkeypatch, kind):
    monkeypatch.setattr(guards, "BODY_SECONDS", 0.1)
    with running(make_app()) as address, closing(HTTPConnection(address, timeout=20)) as connection:
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", "9")
        connection.endheaders(b"--x")
        assert connection.getresponse().status == 408


def test_bodies_that_are_too_large_together_are_refused_for_a_while(open_client, monkeypatch):
    monkeypatch.setattr(guards, "MAX_BODIES", 100)
    client = open_client()
    answer = client.post("/predict", files={"caption": (None, "a" * 101)})
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    monkeypatch.undo()
    assert client.post("/predict", **CAPTION).status_code == 200
