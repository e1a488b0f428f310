"""Watch the memes of a table while they are scored, and say at the end whether they drifted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.files.json_files import write_json
from runtime.progress import log
from serve.drift.drift_tests import ALPHA, MIN_MEMES, MIN_STATISTIC, compare, sentence
from serve.drift.meme_quantities import Measures
from serve.drift.meme_sample import MemeSample

if TYPE_CHECKING:
    from features.feature_table import FeatureTable

SAMPLE = ".drift.npz"
"""Suffix of the sample that is kept beside an unfinished file."""


@dataclass(frozen=True)
class DriftCheck:
    """The held-out memes of a run, and what measures new ones. Batches share it."""

    held_out: np.ndarray
    """float64 (R, 4): see DriftReference."""
    measures: Measures


@dataclass
class BatchDrift:
    """The memes of one table."""

    check: DriftCheck
    saved: Path | None = None
    """Where the sample is kept for a command that continues this one; None if none can."""
    sample: MemeSample = field(default_factory=MemeSample)

    def add(self, captions: list[str], table: "FeatureTable", probability: np.ndarray) -> None:
        """Add memes: see Measures.measure. Call it before their results are written."""
        self.sample.add(*self.check.measures.measure(captions, table, probability))
        if self.saved is not None:
            self.sample.save(self.saved)

    def report(self, audit: Path | None, about: dict[str, Any]) -> None:
        """Log what drifted; write all comparisons, and what they are `about`, into `audit`."""
        batch = self.sample.compared()
        memes, found = len(batch), compare(self.check.held_out, batch)
        if not found:
            log(f"no check for drift: {memes} distinct memes; at least {MIN_MEMES} are needed")
        for one in found:
            if one.drifted:
                log(f"drift: {sentence(one, memes)}")
        if audit is not None:
            counts = {"distinct_memes": memes, "held_out_memes": len(self.check.held_out)}
            limits = {"alpha": ALPHA, "min_statistic": MIN_STATISTIC}
            drifted = [one.quantity for one in found if one.drifted]
            compared = {one.quantity: one._asdict() for one in found}
            content = {**about, **counts, **limits, "drifted": drifted, "quantities": compared}
            write_json(audit, content)


def start_batch(
    check: DriftCheck | None, partial: Path | None = None, done: int = 0
) -> BatchDrift | None:
    """Return an empty batch, or that of the `done` memes in the unfinished file `partial`."""
    if check is None:
        return None
    if partial is None:
        return BatchDrift(check)
    saved = partial.with_name(f"{partial.name}{SAMPLE}")
    if not done:
        return BatchDrift(check, saved)
    remedy = f"Delete {partial} and run the same command again, from the first meme on"
    return BatchDrift(check, saved, MemeSample.load(saved, remedy))
