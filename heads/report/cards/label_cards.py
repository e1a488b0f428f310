"""Labels to look at: cards of the first label issues."""

from dataclasses import dataclass

import numpy as np

from heads.ensemble.doubtful_labels import SAME, DoubtfulLabel, DoubtfulLabels, find_doubtful_labels
from heads.report.cards.gallery import CAPTION_LENGTH, LARGE, ShownMeme, one_per_group, shown_meme
from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import label_name, plural

SHOWN = 12


@dataclass(frozen=True)
class LabelLine:
    """A label issue in a table."""

    rank: int
    """From 1, as in label_issues.csv."""
    id: str
    split: str
    label: int
    probability: float
    """Held-out probability of that label."""
    contradiction: str
    """A sentence on the near-duplicate with the other label; empty if there is none."""


@dataclass(frozen=True)
class LabelCard:
    """A label issue with its picture."""

    meme: ShownMeme
    line: LabelLine


@dataclass(frozen=True)
class LabelsToLookAt:
    """The label issues of a run, and lines for the first of them."""

    found: DoubtfulLabels
    rows: list[int]
    """Rows of the lines: at most one of each group of near-duplicates."""
    lines: list[LabelLine]

    @property
    def sentence(self) -> str:
        """How many labels are in doubt, and what that means."""
        number, checked = len(self.found.issues), plural(self.found.checked, "held-out label")
        if not number:
            return f"Of {checked}, none is in doubt."
        contradicted = plural(self.found.contradicted, "of them has", "of them have")
        return (
            f"Of {checked}, {plural(number, 'is', 'are')} in doubt: the ensemble, which was not "
            "fitted on these memes, finds the other label more probable, and at least as probable "
            "as it is on average where it is given (confident learning, Northcutt et al. 2021). "
            f"{contradicted} a near-duplicate in train or val with the other label. A label issue "
            "is a suspicion, not a proof: the model can be wrong, or the meme hard to judge."
        )

    @property
    def what_to_do(self) -> str:
        """What label_issues.csv is for; ends before a command."""
        return (
            "label_issues.csv in the run's folder lists all, the most doubtful first. Look at them "
            "and correct the labels that are wrong in your table; or write your decisions to a "
            "file (docs/serving.md shows one) and train on them with"
        )


def list_doubtful_labels(run: FinishedRun) -> LabelsToLookAt:
    """Find the label issues, as `submit` does for label_issues.csv."""
    held_out, contradictions = run.models[ENSEMBLE].held_out, run.data["contradictions"]
    found = find_doubtful_labels(run.table.rows, held_out, run.ensemble, contradictions)
    ranked = {issue.row: (rank, issue) for rank, issue in enumerate(found.issues, 1)}
    rows = one_per_group(run, np.array(list(ranked), dtype=np.int64), SHOWN)
    return LabelsToLookAt(found, rows, [_line(run, *ranked[row]) for row in rows])


def draw_label_cards(run: FinishedRun, labels: LabelsToLookAt) -> list[LabelCard]:
    """Return the lines with their pictures."""
    memes = [shown_meme(run, row, LARGE, CAPTION_LENGTH) for row in labels.rows]
    return [LabelCard(*both) for both in zip(memes, labels.lines, strict=True)]


def _line(run: FinishedRun, rank: int, issue: DoubtfulLabel) -> LabelLine:
    rows, row = run.table.rows, issue.row
    label = int(rows.label[row])
    return LabelLine(
        rank, rows.id[row], rows.split[row], label, issue.probability, _contradiction(issue, label)
    )


def _contradiction(issue: DoubtfulLabel, label: int) -> str:
    if not issue.relation:
        return ""
    other = f"{issue.other} is labelled {label_name(1 - label)}."
    if issue.relation == SAME:
        return f"The same picture and caption as {other}"
    return f"Its near-duplicate {other}"
