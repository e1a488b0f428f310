"""Explain the memes in the gallery of a run's report; heads cannot, as it knows no pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from heads.config import SUBMITTED
from heads.ensemble.explained_memes import Explained, write_explanations
from heads.report.finished_run import read_run
from heads.report.gallery import choose_rows
from runtime.processes import pause_collection
from runtime.progress import log, progress
from serve.finished_models import require_models

if TYPE_CHECKING:
    from serve.explanations import Explainer


def explain_gallery(run: Path, device: str = "auto") -> Path:
    """Explain the memes that the gallery shows and whose picture can be read.

    Writes explanations.json, which the report reads, and returns its path. Takes up to 38
    predictions a meme. Raises UserError if the run is not finished.
    """
    finished = read_run(run)
    require_models(run)
    with pause_collection():
        from serve.explanations import Explainer
        from serve.predictor import Predictor

    chosen = choose_rows(finished)
    predictor = Predictor(run, device, SUBMITTED)
    explainer = Explainer(predictor, run)
    rows = [*chosen.mistakes, *chosen.uncertain]
    found: dict[int, Explained] = {}
    with progress("explain", len(rows), "memes") as advance:
        for row in rows:
            meme = finished.memes[row]
            if (explained := _explain(explainer, meme.image, meme.caption)) is not None:
                found[row] = explained
            advance(1)
    if len(found) < len(rows):
        log(f"not explained, because their pictures cannot be read: {len(rows) - len(found)} memes")
    return write_explanations(run, found)


def _explain(explainer: "Explainer", image: str, caption: str) -> Explained | None:
    path = Path(image)
    if image and explainer.predictor.predict([path], [caption], read_absent=False)[0].fault:
        return None
    found = explainer.explain(path.read_bytes() if image else None, caption)
    return Explained(
        probability=found.probability,
        picture_alone=found.picture_alone,
        caption_alone=found.caption_alone,
        words=[tuple(part) for part in found.words],
        picture={part.what: part.contribution for part in found.picture},
    )
