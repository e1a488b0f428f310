"""Submission checks: inverted or constant predictions, a wrong class balance, a changed file."""

from pathlib import Path

import numpy as np
import pandas as pd

from heads.check.check_result import Check
from heads.ensemble.saved_ensemble import EnsembleRecord
from heads.ensemble.submission import prior_warning
from runtime.errors import UserError

TOLERANCE = 1e-6
"""Largest difference between a value in solution.csv and the run's value."""


def check_scores(ensemble: EnsembleRecord, decision: np.ndarray, prior: float) -> list[Check]:
    """Check for inverted scores, constant predictions, and a share of positives far from `prior`.

    `decision` bool (A,): predicted labels of the requested test memes.
    """
    auroc = ensemble.scores["held_out"]["auroc"]
    low, high = auroc["interval"]
    inverted = high < 0.5
    constant = decision.all() or not decision.any()
    share = float(decision.mean())
    return [
        Check(
            "score inversion",
            not inverted,
            f"The ensemble's held-out AUROC is {auroc['value']:.3f} [{low:.3f}, {high:.3f}]"
            + (", below chance. Labels or scores are inverted." if inverted else "."),
            {"auroc": auroc["value"]},
        ),
        Check(
            "constant predictions",
            not constant,
            f"All {len(decision)} test memes are predicted {'positive' if share else 'negative'}: "
            "all probabilities are on the same side of the threshold."
            if constant
            else f"Both labels occur among the {len(decision)} predictions.",
        ),
        Check(
            "predicted share",
            prior_warning(decision, prior) is None,
            prior_warning(decision, prior)
            or f"{share:.0%} of the test memes are predicted positive, compared with an expected "
            f"share of {prior:.0%}.",
            {"predicted": share, "prior": prior},
        ),
    ]


def check_solution_file(
    path: Path, ids: np.ndarray, probability: np.ndarray, decision: np.ndarray
) -> Check:
    """Compare the ids and values of solution.csv with the run's predictions, line by line.

    `ids` object (A,), `probability` float64 (A,), `decision` bool (A,): of the requested memes, in
    the requested order. Raises UserError if the file is not a table of two columns.
    """
    found = _read(path)
    name = "solution"
    if found.iloc[:, 0].tolist() != ids.tolist():
        different = sorted(set(found.iloc[:, 0]) ^ set(ids))
        fault = (
            f"{len(different)} ids are missing or were not requested ({', '.join(different[:5])})"
            if different
            else "it has the requested ids, but in a different order, or some more than once"
        )
        return Check(name, False, f"{path}: {fault}.")
    values = pd.to_numeric(found.iloc[:, 1], errors="coerce").to_numpy()
    for expected, what in ((decision.astype(float), "labels"), (probability, "probabilities")):
        if np.allclose(values, expected, atol=TOLERANCE, rtol=0):
            return Check(
                name, True, f"{path} contains the run's {what} for the same ids in the same order."
            )
        if np.allclose(values, 1 - expected, atol=TOLERANCE, rtol=0):
            return Check(name, False, f"{path} contains the run's {what} inverted.")
    differ = int((values != decision).sum())
    return Check(
        name,
        False,
        f"{path}: {differ} of {len(values)} values differ from the run's. The file may belong to "
        "another run. Run submit, with --out FILE if each run shall have a file of its own.",
    )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(
            f"{path} is missing. Run first: python pipeline.py submit, or pass --solution"
        )
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(f"{path} is not a CSV table: {error}") from error
    if found.shape[1] != 2:
        raise UserError(f"{path}: found {found.shape[1]} columns, expected 2: an id and a label")
    return found
