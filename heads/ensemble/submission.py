"""Validate and write the submission: solution.csv and predictions.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.feature_table import Rows
from runtime.errors import UserError
from runtime.files.atomic_files import write_text

MAX_SHARE_DIFFERENCE = 0.2
"""A larger difference between predicted and expected share of positives causes a warning."""


def validate_submission(rows: Rows, requested: np.ndarray, probability: np.ndarray) -> None:
    """Raise UserError unless every requested id occurs once and has a finite probability."""
    ids = rows.id[requested]
    repeated = sorted(
        {i for i, n in zip(*np.unique(ids.astype(str), return_counts=True), strict=True) if n > 1}
    )
    if repeated:
        raise UserError(f"test ids occur more than once: {', '.join(repeated[:10])}")
    if not len(ids):
        raise UserError("no test ids are requested: the submission would be empty")
    wrong = ids[~np.isfinite(probability[requested])]
    if len(wrong):
        raise UserError(f"no finite probability for {len(wrong)} ids: {', '.join(wrong[:10])}")


def requested_rows(rows: Rows) -> np.ndarray:
    """Return the indices of the test rows that solution.csv lists, in its order."""
    requested = np.flatnonzero((rows.split == "test") & (rows.order >= 0))
    return requested[np.argsort(rows.order[requested], kind="stable")]


def train_positive_share(rows: Rows) -> float:
    """Return the share of positives among train rows, which may differ from val's and test's."""
    return float((rows.label[rows.split == "train"] == 1).mean())


def prior_warning(decision: np.ndarray, prior: float) -> str | None:
    """Return a warning if the predicted share of positives is far from the expected `prior`."""
    share = decision.mean()
    if abs(share - prior) <= MAX_SHARE_DIFFERENCE:
        return None
    return (
        f"{share:.0%} of the test memes are predicted positive, against an expected {prior:.0%}, "
        "that of --prior or else of the training memes. If the contest's test set is not that "
        "different, something is wrong."
    )


def predictions_csv(ids: np.ndarray, probability: np.ndarray, decision: np.ndarray) -> str:
    """Return a CSV with header id,probability,label and one line per meme."""
    columns = {"id": ids, "probability": probability, "label": decision.astype(int)}
    return to_csv(columns)


def write_predictions(
    path: Path, ids: np.ndarray, probability: np.ndarray, decision: np.ndarray
) -> Path:
    """Write the CSV of `predictions_csv`."""
    return write_text(path, predictions_csv(ids, probability, decision))


def write_solution(path: Path, columns: dict[str, np.ndarray]) -> Path:
    """Write the contest's columns: ids, labels (int) or probabilities (float)."""
    return write_text(path, to_csv(columns))


def to_csv(columns: dict[str, object], header: bool = True) -> str:
    """Return a table as CSV; numbers have nine digits."""
    frame = pd.DataFrame(columns)
    return frame.to_csv(index=False, header=header, float_format="%.9g", lineterminator="\n")
