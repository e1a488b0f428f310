"""Check the labels of all rows together: known values, both classes, and what --positive names."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from extract.tables.labels import LABELS, MAX_WORDS, MINUS_ONE, suggest_positive
from extract.tables.parsing.text_cells import is_absent
from extract.tables.splits import Row
from runtime.errors import UserError, quoted

SHOWN = 12
"""Number of values of a label column in a message."""


def require_known_labels(rows: Sequence[Row], faults: int, positive: Sequence[str]) -> None:
    """Raise one UserError, with the flag that helps, if the labels are in other words than 0 and 1.

    `faults` is the number of invalid labels. If only few are invalid, each is a bad row instead.
    Also raises UserError if no label is one of `positive`, the values of --positive.
    """
    labelled = [row for row in rows if row.split != "test" and not is_absent(row.label)]
    counts = Counter(row.label.strip() for row in labelled)
    values = {value.lower() for value in counts}
    if not labelled:
        return
    where = f"{labelled[0].file}: column {labelled[0].columns.label} holds {_found(counts)}"
    suggested = suggest_positive(row.label for row in labelled)
    flag = f'--positive "{suggested}"'
    if positive:
        if not values & set(positive):
            named = quoted(",".join(positive))
            example = f", for example: {flag}" if suggested else ""
            raise UserError(f"{where}; --positive {named} is none of them. Name some{example}")
        return
    signed = bool(values & MINUS_ONE) and values <= {*MINUS_ONE, "1", "1.0"}
    if values <= set(LABELS) or not (signed or faults > len(labelled) / 2):
        return
    if suggested:
        raise UserError(
            f"{where}; known are 0, 1, false and true. Name the values that mean hateful, for "
            f"example: {flag}"
        )
    if len(counts) > MAX_WORDS:
        raise UserError(
            f"{where}; known are 0, 1, false and true. Name the column of the labels with "
            "--label-column NAME, or the values that mean hateful with --positive VALUE,VALUE"
        )


def unused_values(rows: Sequence[Row], positive: Sequence[str]) -> Iterator[str]:
    """Yield a note on each value of --positive that no row has."""
    values = {row.label.strip().lower() for row in rows}
    for value in positive:
        if value not in values:
            yield f"no row has the label {quoted(value)} of --positive."


def require_two_classes(rows: Sequence[Row], frame: pd.DataFrame) -> None:
    """Raise UserError if all labels of train are equal."""
    labels = frame["label"][frame["split"] == "train"]
    zeros, ones = int((labels == 0).sum()), int((labels == 1).sum())
    # Invalid labels may be the cause. They are reported later, with the other problems.
    if zeros + ones == len(labels) and not (zeros and ones):
        raise UserError(
            f"{rows[0].file}: column {rows[0].columns.label} has only one class in train: "
            f"{zeros} labels are 0 and {ones} are 1; both are needed."
        )


def has_minus_one(rows: Sequence[Row], split: str, positive: Sequence[str]) -> bool:
    """Return whether -1 is a label of `split` rather than an unknown one: train has it as a label.

    Of test rows, some must have another label too.
    """
    values = {
        (row.split == "test", row.label.strip().lower()) for row in rows if not is_absent(row.label)
    }
    labelled = {value for test, value in values if not test}
    tested = {value for test, value in values if test}
    signed = bool(positive) and bool(labelled & MINUS_ONE)
    return signed and (split != "test" or not tested <= MINUS_ONE)


def _found(counts: Counter[str]) -> str:
    shown = [f"{quoted(value)} ({count})" for value, count in counts.most_common(SHOWN)]
    if len(counts) <= SHOWN:
        return ", ".join(shown)
    return f"{len(counts)} different values, such as {', '.join(shown[:3])}"
