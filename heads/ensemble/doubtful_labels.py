"""Labels of train and val that the ensemble doubts: the rows of label_issues.csv."""

from dataclasses import dataclass

import numpy as np

from features.feature_table import Rows
from heads.decision.prior_shift import shift_prior
from heads.ensemble.run_memes import Meme
from heads.ensemble.saved_ensemble import EnsembleRecord
from heads.ensemble.submission import to_csv
from heads.evaluation.label_issues import find_label_issues, self_confidence

FILE = "label_issues.csv"

SAME, NEAR = "same meme", "near-duplicate"
"""Picture file and caption are the same; or the rows are in one group of near-duplicates."""

FORMULA = ("=", "+", "-", "@")
"""A spreadsheet computes a cell that starts so."""


@dataclass(frozen=True)
class DoubtfulLabel:
    """A train or val row whose label is an issue."""

    rank: int
    """From 1: the least probable label."""
    row: int
    id: str
    split: str
    label: int
    probability: float
    """Held-out probability of its label."""
    relation: str
    """SAME or NEAR if another train or val row has the other label; else empty."""
    other: str
    """Id of that row; else empty."""


@dataclass(frozen=True)
class DoubtfulLabels:
    """All label issues of a run, the least probable label first."""

    issues: list[DoubtfulLabel]
    checked: int
    """Rows with a held-out probability."""

    @property
    def sentence(self) -> str:
        """How many labels are in doubt, and what that means."""
        number, contradicted = len(self.issues), sum(bool(one.relation) for one in self.issues)
        if not number:
            return f"Of {self.checked:,} held-out labels, none is in doubt."
        return (
            f"Of {self.checked:,} held-out labels, {number:,} {'is' if number == 1 else 'are'} in "
            "doubt: the ensemble, fitted without the meme, finds the other label more probable, "
            "and at least as probable as it is on average where it is given (confident learning, "
            "Northcutt et al. 2021). A near-duplicate in train or val with the other label "
            f"contradicts {contradicted:,} of them. A label issue is a suspicion, not a proof: the "
            "model can be wrong, or the meme hard to judge."
        )


def find_doubtful_labels(
    rows: Rows, held_out: np.ndarray, ensemble: EnsembleRecord, contradictions: list[list[str]]
) -> DoubtfulLabels:
    """Find the label issues among the rows with a held-out probability (N,), not NaN.

    These are train and val rows only. Probabilities that `submit --prior` has moved are moved back
    to the share of positives of these rows. `contradictions` are those of data.json.
    """
    known = np.flatnonzero(~np.isnan(held_out) & rows.labelled)
    y, probability = rows.label[known], held_out[known]
    if ensemble.prior is not None:
        probability = shift_prior(probability, ensemble.prior, ensemble.trained_prior)
    own = self_confidence(y, probability)
    same, near = _labels_of_same_memes(rows, contradictions), _labels_of_groups(rows)
    issues = []
    for rank, index in enumerate(find_label_issues(y, probability), 1):
        row = int(known[index])
        name, label = rows.id[row], int(rows.label[row])
        relation, other = SAME, same.get((name, 1 - label))
        if other is None:
            relation, other = NEAR, near.get((int(rows.group[row]), 1 - label))
        found = (relation, other) if other is not None else ("", "")
        issues.append(
            DoubtfulLabel(rank, row, name, rows.split[row], label, float(own[index]), *found)
        )
    return DoubtfulLabels(issues, len(known))


def _labels_of_same_memes(
    rows: Rows, contradictions: list[list[str]]
) -> dict[tuple[str, int], str]:
    """Map an id and a label to the first id of the same meme with that label."""
    listed = {one for ids in contradictions for one in ids}
    labelled = zip(rows.id[rows.labelled], rows.label[rows.labelled].tolist(), strict=True)
    label = {one: value for one, value in labelled if one in listed}
    return {
        (one, label[other]): other
        for ids in contradictions
        for one in ids
        for other in reversed(ids)
        if other in label
    }


def _labels_of_groups(rows: Rows) -> dict[tuple[int, int], str]:
    """Map a group and a label to the first id of a train or val row with both."""
    labelled = np.flatnonzero(rows.labelled)[::-1]
    keys = zip(rows.group[labelled].tolist(), rows.label[labelled].tolist(), strict=True)
    return dict(zip(keys, rows.id[labelled].tolist(), strict=True))


def label_issues_csv(found: DoubtfulLabels, memes: list[Meme] | None) -> str:
    """Return label_issues.csv, one line per issue.

    `memes` are those of all rows, in order. Without them, there is no column of captions.
    """
    columns: dict[str, object] = {
        "rank": [issue.rank for issue in found.issues],
        "id": [issue.id for issue in found.issues],
        "split": [issue.split for issue in found.issues],
        "label": [issue.label for issue in found.issues],
        "probability_of_label": [issue.probability for issue in found.issues],
        "contradiction": [issue.relation for issue in found.issues],
        "contradicting_id": [issue.other for issue in found.issues],
    }
    if memes is not None:
        columns["caption"] = [_cell(memes[issue.row].caption) for issue in found.issues]
    return to_csv(columns)


def _cell(caption: str) -> str:
    """Return a caption on one line, which no spreadsheet takes for a formula."""
    line = " ".join(caption.split())
    return f"'{line}" if line.startswith(FORMULA) else line
