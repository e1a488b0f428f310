"""Test the service under load: 2,000 requests to a real server, every tenth a bad one.

FUZZ=5 in the environment makes them 10,000.
"""

import http.client
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install -r requirements.txt")

from running_app import ask, running

REQUESTS, CLIENTS = 2000 * int(os.environ.get("FUZZ", "1")), 16
JSON = {"Content-Type": "application/json"}
BAD = (
    (b"{", JSON, 422),
    (b"", {}, 415),
    (b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
    (b"{}", {**JSON, "Origin": "https://example.org"}, 403),
    (b"{}", {**JSON, "Content-Length": "99999999"}, 413),
)


def send(connection, number):
    """Send one request; return its status and whether the answer is the right one."""
    if number % 10 == 0:
        body, headers, expected = BAD[number // 10 % len(BAD)]
        status, *_ = ask(connection, "POST", "/predict", body, headers)
        if expected == 413:  # its body is never sent
            connection.close()
        return status, status == expected
    captions = [f"{number} {k}" for k in range(1 + number % 3)]
    memes = json.dumps({"memes": [{"caption": caption} for caption in captions]})
    status, headers, content = ask(connection, "POST", "/predict", memes, JSON)
    if status == 429:
        return status, headers["retry-after"] == "1"
    return status, [one["caption"] for one in json.loads(content)] == captions


def client(place, numbers):
    connection = http.client.HTTPConnection(place, timeout=30)
    return [send(connection, number) for number in numbers]


@pytest.mark.parametrize("max_waiting", [256, 8])
def test_no_request_is_lost(make_app, max_waiting):
    with running(make_app(max_waiting=max_waiting)) as place, ThreadPoolExecutor(CLIENTS) as pool:
        parts = [range(start, REQUESTS, CLIENTS) for start in range(CLIENTS)]
        answers = [one for part in pool.map(client, [place] * CLIENTS, parts) for one in part]
    assert len(answers) == REQUESTS
    assert all(right for _, right in answers)
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 400, 403, 413, 415, 422, 429}
    assert sum(statuses[status] for status in (400, 403, 413, 415, 422)) == REQUESTS / 10
    assert (429 in statuses) == (max_waiting == 8)


def test_a_client_that_sends_too_much_gets_413_over_a_real_connection(make_app):
    def endless():
        for _ in range(60):
            yield bytes(1_000_000)

    with running(make_app()) as place:
        connection = http.client.HTTPConnection(place, timeout=30)
        assert ask(connection, "POST", "/predict", bytes(25_000_000), JSON)[0] == 413
        assert ask(connection, "POST", "/predict", endless(), JSON)[0] == 413
        assert ask(connection, "GET", "/health")[0] == 200
