"""Check the labels of all rows together: known values, both classes, and what --positive names."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from extract.tables.labels import (
    LABELS,
    MAX_WORDS,
    MINUS_ONE,
    UNKNOWN,
    none_as_label,
    suggest_positive,
)
from extract.tables.parsing.text_cells import ABSENT
from extract.tables.splits import Row
from runtime.errors import UserError, quoted

SHOWN = 12
"""Number of values of a label column in a message."""

MANY_ROWS, MANY_SHARE = 10, 0.1
"""Labels that are not known are a column of other values, rather than mistakes, if more than both
are so, or half."""


def require_known_labels(rows: Sequence[Row], positive: Sequence[str]) -> None:
    """Raise one UserError, with the flag that helps, if the labels are in other words than 0 and 1.

    If only few are invalid, each is a bad row instead. Also raises UserError if no label is one of
    `positive`, the values of --positive.
    """
    train = [row for row in rows if row.split != "test"]
    absent = ABSENT - none_as_label({row.label.strip().lower() for row in train})
    labelled = [row for row in train if row.label.strip().lower() not in absent]
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
    odd = sum(count for value, count in counts.items() if value.lower() not in {*LABELS, *UNKNOWN})
    few = min(len(labelled) / 2, max(MANY_ROWS, MANY_SHARE * len(labelled)))
    many = odd > 1 and odd >= few
    if not (signed or many):
        return
    if suggested:
        raise UserError(
            f"{where}; known are 0, 1, false and true. Name the values that mean hateful, for "
            f"example: {flag}"
        )
    if len(counts) > MAX_WORDS:
        raise UserError(
            f"{where}; known are 0, 1, false and true. Name the column of the labels with "
            "--label-column NAME, or the values that mean hateful with --positive VALUE,VALUE. If "
            "they are scores, write 0 or 1 instead"
        )


def require_labels_of_train(rows: Sequence[Row], positive: Sequence[str]) -> None:
    """Raise UserError if the labels of test are several words and none of them is one of train."""
    foreign = _labels_only_in_test(rows, positive, all_of_test=True)
    train = {row.label.strip().lower() for row in rows if row.split != "test"}
    if len(foreign) < 2 or not (positive or train <= {*LABELS, *UNKNOWN}):
        return
    named = [*positive] or sorted(value for value in train if LABELS.get(value) == 1)
    suggested = suggest_positive(foreign.elements())
    flag = f'--positive "{",".join([*named, suggested or ""])}"'
    advice = f"Name all values that mean hateful, for example: {flag}; or remove the column"
    first = next(row for row in rows if row.split == "test")
    raise UserError(
        f"{first.file}: column {first.columns.label} holds {_found(foreign)}, none of which train "
        f"has. {advice if suggested else 'Remove the column'} from this table"
    )


def unknown_labels(rows: Sequence[Row], split: str, positive: Sequence[str]) -> frozenset[str]:
    """Return the values that mean an unknown label in a split, in lower case.

    Test tables may have one word in every row, such as "hidden", that train does not have.
    """
    foreign = _labels_only_in_test(rows, positive, all_of_test=True) if split == "test" else ()
    hidden = {value.lower() for value in foreign} if len(foreign) == 1 else set()
    return UNKNOWN - _labels_like_unknown(rows, split, positive) | hidden


def _labels_only_in_test(
    rows: Sequence[Row], positive: Sequence[str], *, all_of_test: bool
) -> Counter[str]:
    """Return the known labels of test that train does not have, and how often each occurs.

    With `all_of_test`, return them only if test has no others.
    """
    train = {row.label.strip().lower() for row in rows if row.split != "test"}
    known = train.union(positive) if positive else {*LABELS}
    tested = Counter(row.label.strip() for row in rows if row.split == "test")
    tested = {value: count for value, count in tested.items() if value.lower() not in UNKNOWN}
    foreign = {value: count for value, count in tested.items() if value.lower() not in known}
    return Counter(foreign if train and not (all_of_test and len(foreign) < len(tested)) else {})


def label_notes(rows: Sequence[Row], positive: Sequence[str]) -> Iterator[str]:
    """Yield notes on values of --positive that no row has, and on labels that only test has."""
    values = {row.label.strip().lower() for row in rows}
    for value in positive:
        if value not in values:
            yield f"no row has the label {quoted(value)} of --positive."
    unknown = unknown_labels(rows, "test", positive)
    for value, count in _labels_only_in_test(rows, positive, all_of_test=False).items():
        meaning = "an unknown label" if value.lower() in unknown else "not hateful"
        yield f"{count} test rows have the label {quoted(value)}, unlike train: {meaning}."


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


def _labels_like_unknown(
    rows: Sequence[Row], split: str, positive: Sequence[str]
) -> frozenset[str]:
    """Return which of UNKNOWN are labels of `split`, because train has them as labels.

    These are -1 beside 1, and none beside hate. Of test rows, some must have another label too.
    """
    values = {(row.split == "test", row.label.strip().lower()) for row in rows}
    train = {value for test, value in values if not test}
    labels = none_as_label(train) | (MINUS_ONE if positive and train & MINUS_ONE else frozenset())
    tested = {value for test, value in values if test} - (ABSENT - labels)
    return frozenset() if split == "test" and tested <= labels else labels


def _found(counts: Counter[str]) -> str:
    shown = [f"{quoted(value)} ({count})" for value, count in counts.most_common(SHOWN)]
    if len(counts) <= SHOWN:
        return ", ".join(shown)
    return f"{len(counts)} different values, such as {', '.join(shown[:3])}"
