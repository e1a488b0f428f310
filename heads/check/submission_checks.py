"""Would this submission score as the run says it does?"""

from pathlib import Path

import numpy as np
import pandas as pd

from heads.check.check_result import Check
from heads.ensemble.ensemble import Ensemble
from heads.ensemble.submission import prior_warning
from runtime.errors import UserError

SAME = 1e-6


def check_scores(ensemble: Ensemble, decision: np.ndarray, prior: float) -> list[Check]:
    """Inverted scores, constant predictions, and a share of positives far from `prior`.

    `decision` bool (A,): of the memes asked for.
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
            + (": below chance. Labels or scores are turned around." if inverted else "."),
            {"auroc": auroc["value"]},
        ),
        Check(
            "constant predictions",
            not constant,
            f"All {len(decision)} test memes are predicted {'positive' if share else 'negative'}: "
            "no head learned enough to cross its threshold."
            if constant
            else f"Both labels occur among the {len(decision)} predictions.",
        ),
        Check(
            "predicted share",
            prior_warning(decision, prior) is None,
            prior_warning(decision, prior)
            or f"{share:.0%} of the test memes are predicted positive, against {prior:.0%} among "
            "the memes that it was fitted for.",
            {"predicted": share, "prior": prior},
        ),
    ]


def check_solution_file(
    path: Path, ids: np.ndarray, probability: np.ndarray, decision: np.ndarray
) -> Check:
    """Ids and values of solution.csv, line by line, against the run's own predictions.

    `ids` object (A,), `probability` float64 (A,), `decision` bool (A,): of the memes asked for, in
    the order asked for. Raises UserError if the file is no table of two columns.
    """
    found = _read(path)
    name = "solution"
    if found.iloc[:, 0].tolist() != ids.tolist():
        strange = sorted(set(found.iloc[:, 0]) ^ set(ids))
        fault = (
            f"{len(strange)} ids are missing or not asked for ({', '.join(strange[:5])})"
            if strange
            else "its ids are those asked for, but in another order"
        )
        return Check(name, False, f"{path}: {fault}.")
    values = pd.to_numeric(found.iloc[:, 1], errors="coerce").to_numpy()
    for wanted, what in ((decision.astype(float), "labels"), (probability, "probabilities")):
        if np.allclose(values, wanted, atol=SAME, rtol=0):
            return Check(name, True, f"{path} holds the run's {what}, id by id, in order.")
        if np.allclose(values, 1 - wanted, atol=SAME, rtol=0):
            return Check(name, False, f"{path} holds the run's {what} turned around.")
    differ = int((values != decision).sum())
    return Check(
        name,
        False,
        f"{path}: {differ} of {len(values)} values differ from the run's. Another run's file? "
        "Run: python pipeline.py submit",
    )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(
            f"{path} is missing. Run first: python pipeline.py submit, or pass --solution"
        )
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is not a CSV table: {error}") from error
    if found.shape[1] != 2:
        raise UserError(f"{path}: found {found.shape[1]} columns, allowed: an id and a label")
    return found
