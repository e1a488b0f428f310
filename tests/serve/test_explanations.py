"""Explanations: modalities, words, parts of the picture, neighbours; and over HTTP."""

import base64
import csv
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from extract.data import read_captions
from serve.explanations import MAX_SIDE, Explainer, picture_parts, word_groups
from serve.predictor import Predictor


@pytest.fixture(scope="module")
def explainer(scored_run):
    return Explainer(Predictor(scored_run, "cpu"), scored_run)


def test_contributions_are_differences_of_probabilities(explainer, tiny_sample):
    with (tiny_sample / "train.csv").open() as file:
        name = file.read().splitlines()[1].split(",")[0]
    picture = (tiny_sample / "img" / f"{name}.png").read_bytes()
    caption = "the cat loves you"
    found = explainer.explain(picture, caption)
    predict = explainer.predictor.predict
    whole, picture_alone, caption_alone, without_cat = (
        one.probability
        for one in predict(
            [picture, picture, None, picture], [caption, "", caption, "the loves you"]
        )
    )
    np.testing.assert_allclose(found.probability, whole, rtol=1e-9)
    np.testing.assert_allclose(found.picture_alone, picture_alone, rtol=1e-9)
    np.testing.assert_allclose(found.caption_alone, caption_alone, rtol=1e-9)
    [cat] = [part for part in found.words if part.what == "cat"]
    np.testing.assert_allclose(cat.contribution, whole - without_cat, atol=1e-9)
    assert [part.what for part in found.words] == caption.split()
    assert len(found.picture) == 9 and found.picture[0].what.count(",") == 1
    sizes = [abs(part.contribution) for part in found.picture]
    assert sizes == sorted(sizes, reverse=True)


def test_training_meme_is_its_own_neighbour_and_noise_is_novel(explainer, tiny_sample):
    with (tiny_sample / "train.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    picture = (tiny_sample / row["img"]).read_bytes()
    found = explainer.explain(picture, row["text"])
    assert found.nearest[0].id == row["id"] and found.nearest[0].caption == row["text"]
    assert found.nearest[0].similarity > 0.999 and found.nearest[0].label == int(row["label"])
    assert found.novelty < 0.05


def test_captions_with_line_separators_are_shown(explainer, tmp_path):
    run = shutil.copytree(explainer.run, tmp_path / "run")
    memes = (run / "memes.jsonl").read_text("utf-8").split("\n")
    changed = [line.replace('"caption":"', '"caption":"\u2028') for line in memes]
    (run / "memes.jsonl").write_text("\n".join(changed), "utf-8")
    found = Explainer(explainer.predictor, run).explain(None, "the cat loves you")
    assert found.nearest[0].caption.startswith("\u2028")


@pytest.mark.parametrize("modality", ["picture", "caption"])
def test_one_modality_alone(explainer, tiny_sample, modality):
    picture = next((tiny_sample / "img").iterdir()).read_bytes()
    found = explainer.explain(*((picture, "") if modality == "picture" else (None, "some words")))
    assert found.picture_alone is None and found.caption_alone is None
    assert len(found.words) == (0 if modality == "picture" else 2)
    assert len(found.picture) == (9 if modality == "picture" else 0)


def test_in_a_run_that_reads_captions_the_picture_alone_is_not_read_again(
    explainer, tiny_sample, monkeypatch
):
    picture = next((tiny_sample / "img").iterdir()).read_bytes()
    expected = explainer.explain(picture, "words")
    calls = []
    monkeypatch.setattr(
        read_captions, "load_reader", lambda: lambda picture: calls.append(1) or "words"
    )
    spaces = explainer.predictor.spaces
    checkpoint = replace(spaces.checkpoint, read_captions=True)
    monkeypatch.setattr(explainer.predictor, "spaces", replace(spaces, checkpoint=checkpoint))
    [prediction] = explainer.predictor.predict([picture], [""])
    assert (prediction.caption, len(calls)) == ("words", 1)
    assert explainer.explain(picture, prediction.caption) == expected
    assert len(calls) == 1


def test_long_captions_are_divided_into_groups():
    words = [str(number) for number in range(100)]
    groups = word_groups(words)
    assert len(groups) <= 24 and [w for removed, _ in groups for w in removed] == words
    assert all(sorted(removed + without, key=int) == words for removed, without in groups)


@pytest.mark.parametrize(("size", "shown"), [((1, 1), (1, 1)), ((3000, 300), (MAX_SIDE, 102))])
def test_tiny_and_large_pictures_are_cut(size, shown):
    data = BytesIO()
    Image.new("RGB", size, "teal").save(data, "PNG")
    uncovered, parts = picture_parts(data.getvalue())
    assert len(parts) == 9
    for part in (uncovered, *parts.values()):
        assert Image.open(BytesIO(part)).size == shown


ASK_WHY = "/predict?explain=true"


def as_json(*memes):
    encoded = [(p and base64.b64encode(p).decode(), caption) for p, caption in memes]
    return {"json": {"memes": [{"picture": p, "caption": caption} for p, caption in encoded]}}


@pytest.fixture
def explained_by(make_app):
    """f(an explain function or None) -> a client of the service."""
    testing = pytest.importorskip("fastapi.testclient")
    with ExitStack() as clients:

        def make(explain):
            app = make_app(explain=explain)
            client = testing.TestClient(app, "http://127.0.0.1", raise_server_exceptions=False)
            return clients.enter_context(client)

        yield make


@pytest.fixture
def explaining(explained_by, fake_explainer):
    return explained_by(fake_explainer.explain)


def test_an_explanation_of_one_meme(explaining, png):
    form = explaining.post(ASK_WHY, files={"picture": png}, data={"caption": " so happy "})
    assert form.status_code == 200
    [answer] = form.json()
    assert answer["caption"] == " so happy "
    found = answer["explanation"]
    assert found["words"] == [
        {"what": "so", "contribution": -0.04}, {"what": "happy", "contribution": 0.02},
    ]  # fmt: skip
    assert len(found["picture"]) == 9
    assert found["picture"][1] == {"row": 2, "column": 1, "contribution": 0.1}
    assert found["nearest"][0] == {
        "id": "01", "caption": "a happy cat", "label": 0, "similarity": 0.91,
    }  # fmt: skip
    numbers = "probability", "picture_alone", "caption_alone", "novelty"
    assert [found[name] for name in numbers] == [0.75, 0.6, 0.2, 0.97]
    same = explaining.post(ASK_WHY, **as_json((png, " so happy ")))
    assert same.json() == form.json()
    [alone] = explaining.post(ASK_WHY, **as_json((None, "so"))).json()
    assert alone["explanation"]["picture_alone"] is None
    assert alone["explanation"]["picture"] == []


def test_what_cannot_be_explained(explaining, explained_by, fake_explainer):
    def refusal(of, path=ASK_WHY, **content):
        answer = of.post(path, **content)
        return answer.status_code, answer.json()["detail"]

    caption = {"files": {"caption": (None, "a")}}
    assert refusal(explained_by(None), **caption) == (422, "Explanations are not available.")
    two = as_json((None, "a"), (None, "b"))
    assert refusal(explaining, **two) == (422, "Found 2 memes with explain=true, allowed: 1.")
    assert refusal(explaining, files={"picture": b"broken"}) == (422, "not a picture")
    status, detail = refusal(explaining, "/predict?explain=perhaps", **caption)
    assert status == 422 and detail.startswith("query.explain: ") and "perhaps" not in detail
    [faulty] = explaining.post(ASK_WHY, **as_json((b"broken", "x"))).json()
    assert (faulty["fault"], faulty["explanation"]) == ("not a picture", None)
    assert fake_explainer.running == 0


def test_two_memes_are_explained_at_a_time_while_others_are_predicted(explaining, fake_explainer):
    fake_explainer.going_on.clear()
    content = as_json((None, "a"))
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(explaining.post, ASK_WHY, **content) for _ in range(2)]
        while fake_explainer.running < 2:
            pass
        third = explaining.post(ASK_WHY, **content)
        assert (third.status_code, third.headers["retry-after"]) == (429, "5")
        assert explaining.post("/predict", **content).status_code == 200
        fake_explainer.going_on.set()
        assert [one.result().status_code for one in first] == [200, 200]
    assert explaining.post(ASK_WHY, **content).status_code == 200


def test_a_failed_explanation_lets_others_follow(explained_by):
    def explain(picture, caption):
        raise RuntimeError("secret of the machine")

    client = explained_by(explain)
    answers = [client.post(ASK_WHY, **as_json((None, "a"))) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500] * 3
    assert "secret" not in answers[0].text
