"""Test the routes: answers, and the status of every kind of bad request."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="fastapi is missing: pip install -r requirements.txt")

from fastapi.testclient import TestClient

from serve.api import PAGES
from serve.batching import MAX_BATCH
from serve.meme_requests import MAX_CAPTION

URL = "http://127.0.0.1:8000"
MODEL = {"run": "fake", "stamp": "c0ffee", "ensemble": "decaf", "version": "1.2.3"}


@pytest.fixture
def client(make_app):
    with TestClient(make_app(), base_url=URL, raise_server_exceptions=False) as client:
        yield client


def as_json(*memes):
    return {"json": {"memes": [{"picture": p, "caption": c} for p, c in memes]}}


def encoded(data):
    return base64.b64encode(data).decode()


def test_a_form_gets_one_prediction(client, png):
    answer = client.post("/predict", files={"picture": png}, data={"caption": "hhha"})
    assert answer.status_code == 200
    assert answer.json() == [
        {
            "probability": 0.75, "decision": True, "threshold": 0.5, "fault": "",
            "caption": "hhha", "model": MODEL, "explanation": None,
        }
    ]  # fmt: skip


def test_a_picture_or_a_caption_is_enough(client, png):
    assert client.post("/predict", files={"picture": png}).status_code == 200
    assert client.post("/predict", files={"caption": (None, "a")}).status_code == 200


def test_json_gets_a_prediction_or_a_fault_for_each_meme(client, png, predictor):
    memes = (encoded(png), "hh"), (encoded(b"broken"), "x"), ("?", "y"), (None, " "), (None, "ab")
    answer = client.post("/predict", **as_json(*memes))
    assert answer.status_code == 200
    assert [one["probability"] for one in answer.json()] == [1, None, None, None, 0]
    assert [one["fault"] for one in answer.json()] == [
        "", "not a picture", "the picture is not base64",
        "it has neither a picture nor a caption", "",
    ]  # fmt: skip
    assert [one["decision"] for one in answer.json()] == [True, None, None, None, False]
    assert predictor.batches == [3]


def bomb():
    """A PNG of 400 megapixels in a few hundred kilobytes."""
    data = BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG", compress_level=1)
    return data.getvalue()


@pytest.mark.parametrize(
    "data", [b"broken", b"", b"GIF89a", bomb()], ids=["broken", "empty", "cut", "bomb"]
)
def test_a_single_bad_picture_is_an_error(client, data):
    answer = client.post("/predict", files={"picture": ("x.png", data)})
    assert (answer.status_code, answer.json()) == (422, {"detail": "not a picture"})


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
UNCHOSEN = b'--x\r\nContent-Disposition: form-data; name="picture"; filename=""\r\n\r\n\r\n'
"""What browsers send if no file is chosen."""


def form(charset):
    return {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}


def part(name, content=b"a", more=b""):
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name, more)
    return head + content + b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", JSON, 422),
        (b"{", JSON, 422),
        (b"[" * 100_000, JSON, 422),
        (b'{"memes": [{"caption": "\xff"}]}', JSON, 422),
        (b'{"memes": [{"caption": "\\ud800"}]}', JSON, 422),
        (b'{"memes": [{"caption": NaN}]}', JSON, 422),
        (b'{"memes": []}', JSON, 422),
        (b'{"memes": [{"caption": 3}]}', JSON, 422),
        (b'{"memes": [{"path": "/etc/passwd"}]}', JSON, 422),
        (json.dumps({"memes": [{}] * (MAX_BATCH + 1)}).encode(), JSON, 422),
        (json.dumps({"memes": [{"caption": "a" * (MAX_CAPTION + 1)}]}).encode(), JSON, 422),
        (b"", FORM, 422),
        (b"nonsense", FORM, 400),
        (b"", {"Content-Type": "multipart/form-data"}, 400),
        (part(b"picture"), FORM, 422),
        (part(b"caption", more=b'; filename="a"'), FORM, 422),
        (part(b"path", b"/etc/passwd"), FORM, 422),
        (part(b"caption", b"a" * (MAX_CAPTION + 1)), FORM, 422),
        (part(b"caption", b"a" * 2_000_000), FORM, 400),
        (part(b"caption", b"\\ud800"), form("unicode_escape"), 422),
        (part(b"caption", b"\xff"), form("undefined"), 400),
        (part(b"caption", b"\xff"), FORM, 200),
        (UNCHOSEN + part(b"caption"), FORM, 200),
        (UNCHOSEN + b"--x--\r\n", FORM, 422),
        (b"caption=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"a", {}, 415),
    ],
)  # fmt: skip
def test_malformed_requests_are_refused(client, body, headers, status):
    answer = client.post("/predict", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert set(answer.json()) == {"detail"}
        assert "Traceback" not in answer.text and "passwd" not in answer.text


def test_a_failure_of_the_model_tells_nothing_and_the_service_goes_on(client):
    answer = client.post("/predict", files={"caption": (None, "crash")})
    assert (answer.status_code, answer.json()) == (
        500, {"detail": "The service failed; its log says why."},
    )  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert client.post("/predict", files={"caption": (None, "a")}).status_code == 200


def test_a_full_queue_answers_429(make_app, predictor):
    predictor.going_on.clear()
    with (
        TestClient(make_app(max_waiting=2), base_url=URL) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(client.post, "/predict", **as_json((None, "a")))
        while not predictor.batches:
            pass
        answer = client.post("/predict", **as_json(*[(None, "a")] * 3))
        predictor.going_on.set()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert first.result().status_code == 200


def test_200_concurrent_requests_share_calls_and_keep_their_order(client, predictor):
    barrier = threading.Barrier(200)

    def ask(number):
        memes = [(None, "h" * k + "a" * number) for k in range(2)]
        barrier.wait()
        answer = client.post("/predict", **as_json(*memes))
        while answer.status_code == 429:
            answer = client.post("/predict", **as_json(*memes))
        return [one["caption"] for one in answer.json()] == [caption for _, caption in memes]

    with ThreadPoolExecutor(200) as pool:
        assert all(pool.map(ask, range(1, 201)))
    assert sum(predictor.batches) == 400 and len(predictor.batches) < 150


def test_health_and_metrics(client):
    assert client.get("/health").json() == {"ready": True, "model": MODEL}
    client.post("/predict", **as_json((None, "a"), (None, "b")))
    client.post("/predict", content=b"")
    client.get("/unknown/1")
    client.get("/unknown/2")
    text = client.get("/metrics").text
    for line in (
        'memefuse_requests_total{route="/predict",status="200"} 1.0',
        'memefuse_requests_total{route="/predict",status="415"} 1.0',
        'memefuse_requests_total{route="other",status="404"} 2.0',
        'memefuse_request_seconds_count{route="/predict"} 2.0',
        "memefuse_memes_total 2.0",
        'memefuse_batch_memes_bucket{le="2.0"} 1.0',
        "memefuse_queue_memes 0.0",
    ):
        assert f"\n{line}\n" in text


def test_health_is_503_after_the_stop(make_app):
    with TestClient(make_app(), base_url=URL) as client:
        pass
    assert client.get("/health").status_code == 503
    assert client.post("/predict", **as_json((None, "a"))).status_code == 503


def test_the_page_of_the_api_names_every_route(client):
    schema, page = client.get("/openapi.json").json(), client.get("/docs").text
    assert set(schema["paths"]) >= {"/predict", "/health", "/metrics", "/review/next"}
    assert [path for path in schema["paths"] if path not in page] == []
    fields = schema["components"]["schemas"]["ExplanationOut"]["properties"]
    assert [name for name in ("explain=true", *fields) if name not in page] == []
    content = schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert "$defs" not in json.dumps(content)


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_only_from_their_own_origin(client, path):
    answer = client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'src="http' not in answer.text and 'href="http' not in answer.text
    assert "style=" not in answer.text and "onclick" not in answer.text
    assert client.get("/pages/pages.css").headers["content-type"].startswith("text/css")


def test_no_other_file_is_sent(client):
    for path in ("/pages/../api.py", "/pages/%2e%2e/api.py", "/pages//etc/passwd", "/pages/"):
        assert client.get(path).status_code == 404


def test_a_review_over_http(client):
    ada, ben = {"reviewer": "Ada"}, {"reviewer": " Ben "}
    offer = client.post("/review/next", json=ada).json()
    meme = {"row": 4, "id": "m4", "caption": "caption 4", "picture": True}
    assert offer == {"meme": meme, "left": 3}
    picture = client.get("/review/picture/4")
    assert picture.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(picture.content)).size == (160, 120)
    assert client.post("/review/next", json=ben).json()["meme"]["row"] == 7
    conflict = client.post("/review/decide", json={**ben, "row": 4, "decision": "not"})
    assert conflict.status_code == 409
    done = client.post("/review/decide", json={**ada, "row": 4, "decision": "hateful"})
    assert done.json()["meme"]["row"] == 9 and done.json()["left"] == 2
    assert client.post("/review/undo", json=ada).json()["meme"] == meme


@pytest.mark.parametrize("row", ["7", "9", "100", "-1"])
def test_a_picture_that_is_none_answers_404_without_its_path(client, row):
    answer = client.get(f"/review/picture/{row}")
    assert answer.json() == {"detail": "The meme has no picture that can be shown."}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"row": 5}, 404),
        ({"row": "4a"}, 422),
        ({"row": 10**400}, 404),
        ({"decision": "undo"}, 422),
        ({"reviewer": " "}, 422),
        ({"reviewer": "a" * 61}, 422),
        ({"reviewer": "\ud800"}, 422),
        ({"row": float("nan")}, 422),
    ],
)
def test_a_wrong_decision_is_refused(client, change, status):
    content = {"row": 4, "decision": "not", "reviewer": "Ada", **change}
    answer = client.post("/review/decide", content=json.dumps(content), headers=JSON)
    assert answer.status_code == status, answer.text


def test_a_decision_that_cannot_be_saved_answers_503(client, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device", "/secret/path")

    monkeypatch.setattr("serve.review.review_queue.os.fsync", full)
    content = {"row": 4, "decision": "not", "reviewer": "Ada"}
    answer = client.post("/review/decide", json=content)
    assert answer.status_code == 503 and "secret" not in answer.text
