"""The service tells Prometheus how its last memes differ from the held-out ones."""

import numpy as np
import pytest

from heads.predict import load_scorer
from serve.drift import drift_tests, recent_memes
from serve.drift.drift_reference import load_check
from serve.drift.recent_memes import RecentMemes
from serve.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(checked_run):
    return Predictor(checked_run, "cpu", 0.2)


@pytest.fixture
def recent(checked_run, predictor):
    scorer = load_scorer(checked_run, predictor.stamp)
    return RecentMemes(load_check(checked_run, scorer))


def test_the_last_memes_are_kept_once_and_without_faults(predictor, recent, monkeypatch):
    monkeypatch.setattr(recent_memes, "MAX_MEMES", 3)
    captions = ["a", "b", "c", "a", "d"]
    found = predictor.predict([None] * 5, captions, recent=recent)
    assert len(recent) == 3
    predictor.predict([b"broken"], ["e"], recent=recent)
    predictor.predict([None], ["e"])
    assert len(recent) == 3
    kept = np.stack([row for _, row in recent._memes.values()])
    assert kept[:, 1].tolist() == [1, 1, 1]
    # At the prior train, whatever the service answers.
    moved = predictor.scorer.adjust(kept[:, 0], 0.2)
    np.testing.assert_allclose(moved, [found[k].probability for k in (2, 3, 4)], rtol=1e-9)


def test_metrics_of_the_service(make_app, predictor, queue, doubtful, recent, monkeypatch):
    testing = pytest.importorskip("fastapi.testclient")
    from serve.api import create_app

    monkeypatch.setattr(drift_tests, "MIN_MEMES", 4)
    app = create_app(predictor, queue, doubtful, recent=recent)
    with testing.TestClient(app, "http://127.0.0.1") as client:
        assert "memefuse_drift_memes 0.0" in client.get("/metrics").text
        memes = [{"caption": "many words " * (20 + k)} for k in range(5)]
        assert client.post("/predict", json={"memes": memes}).status_code == 200
        text = client.get("/metrics").text
    assert "memefuse_drift_memes 5.0" in text
    assert 'memefuse_drift_statistic{quantity="caption_tokens"} 1.0' in text
    assert 'memefuse_drift_p{quantity="distance"}' in text
