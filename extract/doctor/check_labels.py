"""What labels, near-duplicates and captions mean for a training."""

import numpy as np
from scipy.stats import chi2_contingency

from extract.config import ExtractConfig
from extract.data.image_decoding import Pictures
from extract.data.meme_table import MemeTable
from extract.data.tokenisation import Captions
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.duplicates.data_summary import class_counts, contradictions, count_near_duplicates
from extract.duplicates.folds import assign_folds, plan_space
from extract.towers.encoders import TextEncoder
from features.feature_table import Rows
from runtime.errors import UserError

LEAST_SHARE = 0.1
"""Part of a split that the rarer class should have."""

CHANCE = 0.01
"""Differences between train and val that would come about by chance less often are a shift."""

MOST_GROUPED = 40_000
"""Rows up to which near-duplicates are looked for here: each is compared with all others."""

LISTED = 3

MOST_CUT = 0.05
"""Part of the captions that may lose their end without a warning."""


def check_balance(rows: Rows) -> Finding:
    """Both classes in each split."""
    counts = class_counts(rows)
    said = "\n".join(_share(split, count) for split, count in counts.items() if count["rows"])
    rare = [split for split in ("train", "val") if _rarer_share(counts[split]) < LEAST_SHARE]
    if rare:
        advice = "are the labels right? If so, accuracy says little: fit-heads --metric f1 or "
        advice += "balanced_accuracy"
        return Finding(WARNING, "classes", said, advice)
    return Finding(OK, "classes", said)


def check_shift(rows: Rows) -> Finding:
    """Train and val with the same share of positives, up to chance."""
    counts = class_counts(rows)
    table = np.array([[counts[s][c] for c in ("positive", "negative")] for s in ("train", "val")])
    if not (table.sum(0).all() and table.sum(1).all()):
        return Finding(OK, "class shift", "no val, or one class alone: nothing to compare")
    p = chi2_contingency(table).pvalue
    train, val = (part["positive"] / part["rows"] for part in (counts["train"], counts["val"]))
    said = f"{train:.1%} positive in train, {val:.1%} in val:"
    if p < CHANCE:
        advice = "submit moves the scores of val and test by what val shows; if you know the share "
        advice += "of test, pass it --prior"
        return Finding(WARNING, "class shift", f"{said} more than chance (p = {p:.1g})", advice)
    return Finding(OK, "class shift", f"{said} no more than chance (p = {p:.2f})")


def check_contradictions(table: MemeTable, pictures: Pictures, rows: Rows) -> Finding:
    """One meme, two labels."""
    found = contradictions(table, pictures, rows)
    if not found:
        return Finding(OK, "contradictions", "no meme of train and val has both labels")
    listed = "; ".join(", ".join(ids) for ids in found[:LISTED])
    said = f"{len(found):,} memes of train and val have both labels, such as the ids {listed}"
    return Finding(WARNING, "contradictions", said, "correct them, or keep one row of each")


def check_near_duplicates(rows: Rows) -> Finding:
    """Test memes that are nearly in train or val."""
    facts = count_near_duplicates(rows)
    said = f"{facts['rows_sharing']:,} rows are nearly another's, in groups of up to "
    said += f"{facts['largest']:,}"
    near = facts["test_rows_near_labelled"]
    if not near:
        return Finding(OK, "near-duplicates", f"{said}; none joins test to train or val")
    found = f"{said}; test rows nearly in train or val: {near:,} "
    found += f"({near / np.sum(~rows.labelled):.0%}), so test figures will flatter"
    advice = "trust the held-out figures: a group is never split between folds"
    return Finding(WARNING, "near-duplicates", found, advice)


def left_out(pictures: int, captions: int) -> Finding:
    """What is said instead of looking for near-duplicates in a large table."""
    # All pairs, as measured at 100,000: 66 s for pictures, 158 s for captions (docs/scale.md).
    seconds = 66 * (pictures / 1e5) ** 2 + 158 * (captions / 1e5) ** 2
    found = (
        f"left out, and whether {MOST_GROUPED:,} rows or more can be cut into folds: extract will "
        f"compare all pairs for about {duration(seconds)}"
    )
    return Finding(WARNING, "near-duplicates", found, "expect that pause before the first epoch")


def check_folds(rows: Rows, config: ExtractConfig) -> Finding:
    """Enough groups of both classes in every role of every fold."""
    faults = []
    try:
        fold = assign_folds(rows.split, rows.label, rows.group, config.folds, config.seed)
    except UserError as error:
        return Finding(FAIL, "folds", str(error))
    for number in range(config.folds):
        try:
            plan = plan_space(rows.label, rows.group, fold, number, config.seed)
        except UserError as error:
            faults.append(str(error))
    if faults:
        return Finding(FAIL, "folds", "\n".join(faults))
    steps = int(plan.fitted.sum()) // config.batch_size
    said = f"{config.folds} of {len(np.unique(rows.group[rows.labelled])):,} groups"
    if not steps:
        found = f"{said}: {plan.fitted.sum():,} rows fitted in one, not a batch"
        return Finding(WARNING, "folds", found, "a smaller --batch-size")
    return Finding(OK, "folds", f"{said}, {steps:,} steps an epoch")


def check_captions(captions: Captions, text: TextEncoder, config: ExtractConfig) -> Finding:
    """Captions that are longer than the text tower is given."""
    limit = min(config.max_tokens, text.max_tokens)
    cut, longest = captions.cut / max(1, len(captions.tokens)), captions.lengths().max()
    said = f"{len(captions.tokens):,} distinct ones, {captions.cut:,} cut to {limit} tokens"
    if config.max_tokens > text.max_tokens and longest >= limit:
        advice = f"these weights know {limit} positions; --max-tokens {limit} says so"
        return Finding(WARNING, "captions", said, advice)
    if cut > MOST_CUT:
        return Finding(WARNING, "captions", said, "a larger --max-tokens, which takes longer")
    return Finding(OK, "captions", said)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one would say it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return (
                f"{seconds / size:.1f} {unit}"
                if seconds < 10 * size
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds:.0f} s"


def _share(split: str, count: dict[str, int]) -> str:
    known = count["positive"] + count["negative"]
    labels = f"{count['positive'] / known:.1%} positive" if known else "labels unknown"
    return f"{split} {count['rows']:,}: {labels}"


def _rarer_share(count: dict[str, int]) -> float:
    """1 for a split without rows."""
    return min(count["positive"], count["negative"]) / count["rows"] if count["rows"] else 1.0
