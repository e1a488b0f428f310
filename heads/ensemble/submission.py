"""solution.csv and predictions.csv: every id asked for, once, in the order asked for."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.feature_table import Rows
from runtime.atomic_files import write_text
from runtime.errors import UserError

FAR_FROM_PRIOR = 0.2
"""Difference between predicted and training share of positives that is warned of."""


def check_submission(rows: Rows, asked: np.ndarray, probability: np.ndarray) -> None:
    """Raise UserError unless every id asked for is there once and has a finite probability."""
    ids = rows.id[asked]
    repeated = sorted(
        {i for i, n in zip(*np.unique(ids.astype(str), return_counts=True), strict=True) if n > 1}
    )
    if repeated:
        raise UserError(f"test ids occur more than once: {', '.join(repeated[:10])}")
    if not len(ids):
        raise UserError("no test ids are asked for: nothing to submit")
    wrong = ids[~np.isfinite(probability[asked])]
    if len(wrong):
        raise UserError(f"no finite probability for {len(wrong)} ids: {', '.join(wrong[:10])}")


def rows_asked_for(rows: Rows) -> np.ndarray:
    """Row numbers of the test rows that solution.csv lists, in its order."""
    asked = np.flatnonzero((rows.split == "test") & (rows.order >= 0))
    return asked[np.argsort(rows.order[asked], kind="stable")]


def share_of_positives(rows: Rows) -> float:
    """Share of positives among the training rows; contests balance val and test as they like."""
    return float((rows.label[rows.split == "train"] == 1).mean())


def prior_warning(decision: np.ndarray, prior: float) -> str | None:
    """A sentence if the predicted share of positives is far from the training share."""
    share = decision.mean()
    if abs(share - prior) <= FAR_FROM_PRIOR:
        return None
    return (
        f"{share:.0%} of the test memes are predicted positive, against {prior:.0%} of "
        "the training memes. If the contest's test set is not that different, something is wrong."
    )


def predictions_csv(ids: np.ndarray, probability: np.ndarray, decision: np.ndarray) -> str:
    """id,probability,label with a header, one line a meme."""
    columns = {"id": ids, "probability": probability, "label": decision.astype(int)}
    return _csv(columns)


def write_predictions(
    path: Path, ids: np.ndarray, probability: np.ndarray, decision: np.ndarray
) -> Path:
    """Write what `predictions_csv` makes."""
    return write_text(path, predictions_csv(ids, probability, decision))


def write_solution(
    path: Path, ids: np.ndarray, values: np.ndarray, id_column: str, label_column: str
) -> Path:
    """Write the contest's two columns: labels (int) or probabilities (float)."""
    return write_text(path, _csv({id_column: ids, label_column: values}))


def _csv(columns: dict[str, np.ndarray]) -> str:
    return pd.DataFrame(columns).to_csv(index=False, float_format="%.9g", lineterminator="\n")
