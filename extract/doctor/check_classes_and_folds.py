"""Check labels, near-duplicates, folds and captions for what would harm the training."""

from dataclasses import replace

import numpy as np
from scipy.stats import chi2_contingency

from extract.config import ExtractConfig
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.folds.data_summary import class_counts, contradictions, count_near_duplicates
from extract.folds.fold_assignment import assign_folds, folds_advice, plan_fold
from extract.tables.meme_table import MemeTable
from extract.towers.encoders import TextEncoder
from features.feature_table import Rows
from runtime.errors import UserError

MIN_CLASS_SHARE = 0.1
"""Minimum share of the rarer class in a split without a warning."""

SIGNIFICANCE_LEVEL = 0.01
"""A difference between train and val with a smaller p-value is called a label shift."""

MAX_LISTED = 3

MAX_TRUNCATED_SHARE = 0.05
"""Maximum share of truncated captions without a warning."""


def check_balance(rows: Rows) -> Finding:
    """Check that neither class is rare in train or val."""
    counts = class_counts(rows)
    found = "\n".join(
        _class_share(split, count) for split, count in counts.items() if count["rows"]
    )
    rare = [split for split in ("train", "val") if _rarer_share(counts[split]) < MIN_CLASS_SHARE]
    if rare:
        advice = "are the labels right? If so, accuracy means little: use fit-heads --metric f1 or "
        advice += "balanced_accuracy"
        return Finding(WARNING, "class balance", found, advice)
    return Finding(OK, "class balance", found)


def check_label_shift(rows: Rows) -> Finding:
    """Check for label shift: whether the shares of positives in train and val differ."""
    counts = class_counts(rows)
    table = np.array([[counts[s][c] for c in ("positive", "negative")] for s in ("train", "val")])
    if not (table.sum(0).all() and table.sum(1).all()):
        return Finding(OK, "label shift", "no val rows, or only one class: nothing to compare")
    p = chi2_contingency(table).pvalue
    train, val = (part["positive"] / part["rows"] for part in (counts["train"], counts["val"]))
    shares = f"{train:.1%} positive in train, {val:.1%} in val:"
    if p < SIGNIFICANCE_LEVEL:
        advice = "submit adjusts the scores of val and test to the share of positives in val; if "
        advice += "you know the share in test, pass it as --prior"
        return Finding(WARNING, "label shift", f"{shares} more than chance (p = {p:.1g})", advice)
    return Finding(OK, "label shift", f"{shares} no more than chance (p = {p:.2f})")


def check_contradictions(table: MemeTable, pictures: Pictures, rows: Rows) -> Finding:
    """Check for memes that occur with both labels."""
    memes = contradictions(table, pictures, rows)
    if not memes:
        return Finding(OK, "contradictions", "no meme of train and val has both labels")
    listed = "; ".join(", ".join(ids) for ids in memes[:MAX_LISTED])
    found = f"{len(memes):,} memes of train and val have both labels, such as the ids {listed}"
    advice = "correct the labels, or leave only one row of each"
    return Finding(WARNING, "contradictions", found, advice)


def check_near_duplicates(rows: Rows) -> Finding:
    """Check for test memes that are near-duplicates of train or val memes."""
    counts = count_near_duplicates(rows)
    found = f"{counts['rows_sharing']:,} rows have near-duplicates, in groups of up to "
    found += f"{counts['largest']:,}"
    near = counts["test_rows_near_labelled"]
    if not near:
        return Finding(OK, "near-duplicates", f"{found}; none of test in train or val")
    found += f"; test rows with near-duplicates in train or val: {near:,} "
    found += f"({near / np.sum(~rows.labelled):.0%}), so metrics on test will be too high"
    advice = "trust the held-out metrics: no group is split between folds"
    return Finding(WARNING, "near-duplicates", found, advice)


def check_folds(rows: Rows, config: ExtractConfig) -> Finding:
    """Check that every fold has enough groups of both classes to fit, monitor and hold out."""
    if not config.folds:
        return Finding(OK, "folds", "none: nothing is fine-tuned")
    errors = []
    try:
        fold = assign_folds(rows.split, rows.label, rows.group, config.folds, config.seed)
    except UserError as error:
        return Finding(FAIL, "folds", str(error), _advice(rows, config))
    for number in range(config.folds):
        try:
            plan = plan_fold(replace(rows, fold=fold), number, config)
        except UserError as error:
            errors.append(str(error))
    if errors:
        return Finding(FAIL, "folds", "\n".join(errors), _advice(rows, config))
    steps = int(plan.fitted.sum()) // config.batch_size
    groups = f"{config.folds} of {len(np.unique(rows.group[rows.labelled])):,} groups"
    if not steps:
        found = f"{groups}: {plan.fitted.sum():,} fitted rows in one, less than a batch"
        return Finding(WARNING, "folds", found, "choose a smaller --batch-size")
    return Finding(OK, "folds", f"{groups}, {steps:,} steps per epoch")


def _advice(rows: Rows, config: ExtractConfig) -> str:
    return folds_advice(rows.split, rows.label, rows.group, config)


def check_captions(captions: Captions, text: TextEncoder, config: ExtractConfig) -> Finding:
    """Check how many captions are truncated because they are too long for the text tower."""
    limit = min(config.max_tokens, text.max_tokens)
    truncated = captions.truncated / max(1, len(captions.tokens))
    found = f"{len(captions.tokens):,} distinct ones, {captions.truncated:,} "
    found += f"truncated to {limit} tokens"
    if config.max_tokens > text.max_tokens and captions.lengths().max() >= limit:
        advice = f"these weights support only {limit} tokens: pass --max-tokens {limit}"
        return Finding(WARNING, "captions", found, advice)
    if truncated > MAX_TRUNCATED_SHARE:
        return Finding(WARNING, "captions", found, "a larger --max-tokens, which takes longer")
    return Finding(OK, "captions", found)


def duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return (
                f"{seconds / size:.1f} {unit}"
                if seconds < 10 * size
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds:.0f} s"


def _class_share(split: str, count: dict[str, int]) -> str:
    known = count["positive"] + count["negative"]
    labels = f"{count['positive'] / known:.1%} positive" if known else "labels unknown"
    return f"{split} {count['rows']:,}: {labels}"


def _rarer_share(count: dict[str, int]) -> float:
    """Return the share of the rarer class; 1 for a split without rows."""
    return min(count["positive"], count["negative"]) / count["rows"] if count["rows"] else 1.0
