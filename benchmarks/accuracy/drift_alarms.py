"""How often is drift reported where there is none? Random halves of held-out memes are compared.

    python -m benchmarks.accuracy.drift_alarms --run contest

Groups of near-duplicates stay together, as between training data and new memes. `--memes`
makes the batch smaller than a half, as most batches are.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.command_line import run_command
from heads.predict import load_scorer
from heads.report.finished_run import read_run
from serve.drift.drift_tests import ALPHA, compare
from serve.drift.held_out_memes import held_out_quantities, training_rows
from serve.drift.meme_quantities import QUANTITIES


def main(
    run: Annotated[str, typer.Option(help="A finished run.")],
    trials: Annotated[int, typer.Option(help="Random halves to compare.")] = 200,
    memes: Annotated[int, typer.Option(help="Most memes of a batch.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the halves.")] = 0,
) -> None:
    """Print the share of halves with a report, and with a significant difference of any size."""
    finished = read_run(Path("runs") / run)
    scorer = load_scorer(finished.folder, finished.table.attributes["stamp"])
    rows, quantities = held_out_quantities(finished, scorer, training_rows(finished))
    group = finished.table.rows.group[rows]
    generator = np.random.default_rng(seed)
    found = [compare(*_halves(quantities, group, memes, generator)) for _ in range(trials)]
    print(f"{len(rows)} held-out memes in {len(np.unique(group))} groups, {trials} trials")
    for name in QUANTITIES:
        drifted = np.mean([any(c.drifted for c in one if c.quantity == name) for one in found])
        print(f"{name}: reported in {drifted:.1%}")
    reported = np.mean([any(c.drifted for c in one) for one in found])
    significant = np.mean([any(c.p < ALPHA for c in one) for one in found])
    print(f"any: reported in {reported:.1%}, significant at {ALPHA} in {significant:.1%}")


def _halves(
    quantities: np.ndarray, group: np.ndarray, memes: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the quantities of the memes of half of the groups, and those of a batch of others."""
    groups = generator.permutation(np.unique(group))
    in_first = np.isin(group, groups[: len(groups) // 2])
    batch = generator.permutation(np.flatnonzero(~in_first))[:memes]
    return quantities[in_first], quantities[batch]


if __name__ == "__main__":
    run_command(main)
