"""Stage two from end to end: features.h5 in, heads with their thresholds, then solution.csv out."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from features.files import read_json, write_json
from features.progress import progress, say
from features.store import read_features
from features.table import FeatureTable
from heads import ENTRIES, REFERENCES, STAGE_ONE
from heads.config import FitConfig, SubmitConfig
from heads.crossfit import cross_fit, mean_logit, number_folds
from heads.ensemble import Ensemble, combine, neutral_threshold
from heads.judge import Verdict, judge, reported_rows
from heads.saved import HeadRecord, Probabilities, read_probabilities, read_records, save_head
from heads.submission import (
    check_submission,
    prior_warning,
    rows_asked_for,
    share_of_positives,
    write_predictions,
    write_solution,
)
from heads.tables import print_tables


def fit_heads(config: FitConfig, run: Path) -> Path:
    """Fit the heads asked for, and always the reference heads; write heads/ and metrics.json.

    Prints the table of all heads of the run; returns the path of metrics.json.
    """
    table = read_features(run / "features.h5")
    # An ensemble is of the heads as they were.
    (run / "heads" / "ensemble.json").unlink(missing_ok=True)
    stamp = table.attributes["stamp"]
    names = [*config.names(), *STAGE_ONE, *REFERENCES]
    with progress("fit heads", len(names), "heads") as advance:
        for name in names:
            _fit_head(name, table, config.metric, run / "heads" / name)
            advance(1)
    _drop_others(run / "heads", stamp, config.metric)
    metrics = {
        "stamp": stamp,
        "metric": config.metric,
        "train_positive_share": share_of_positives(table.rows),
        "heads": [asdict(record) for record in read_records(run / "heads", stamp)],
        "ensemble": None,
    }
    print_tables(metrics)
    return write_json(run / "metrics.json", metrics)


def submit(config: SubmitConfig, run: Path) -> Path:
    """Ensemble the run's heads, tune its threshold, write predictions.csv and solution.csv.

    Prints the table with the ensemble in it; returns the path of the solution. Raises UserError,
    before anything is written, if an id is missing, repeated or without a finite probability.
    """
    table = read_features(run / "features.h5", embeddings=False)
    rows, attributes = table.rows, table.attributes
    metrics = read_json(run / "metrics.json", "fit-heads")
    records = read_records(run / "heads", attributes["stamp"])
    members = [record for record in records if record.member]
    parts = [read_probabilities(run / "heads" / record.name) for record in members]
    probability, verdict = _ensemble(config.ensemble, members, parts, table)
    say(f"ensemble of {', '.join(record.name for record in members)}")
    decision = probability > verdict.threshold.value
    test, asked = np.flatnonzero(rows.split == "test"), rows_asked_for(rows)
    check_submission(rows, asked, probability)
    ensemble = Ensemble(
        attributes["stamp"],
        config.ensemble,
        [record.name for record in members],
        asdict(verdict.threshold),
        verdict.scores,
    )
    metrics["ensemble"] = asdict(ensemble)
    write_json(run / "heads" / "ensemble.json", asdict(ensemble))
    write_json(run / "metrics.json", metrics)
    write_predictions(run / "predictions.csv", rows.id[test], probability[test], decision[test])
    values = probability[asked] if config.proba else decision[asked].astype(int)
    columns = attributes["id_column"], attributes["label_column"]
    solution = write_solution(Path(config.out), rows.id[asked], values, *columns)
    print_tables(metrics)
    warning = prior_warning(decision[asked], share_of_positives(rows))
    if warning:
        say(warning)
    return solution


def _fit_head(name: str, table: FeatureTable, metric: str, folder: Path) -> None:
    rows, seed = table.rows, table.attributes["config"]["seed"]
    fitted = [
        cross_fit(ENTRIES[name], space, rows, number_folds(rows, space, seed), seed)
        for space in table.spaces
    ]
    held_out = mean_logit([one.held_out for one in fitted])
    final = mean_logit([one.probability for one in fitted])
    verdict = judge(rows, reported_rows(table), held_out, final, metric, seed)
    record = HeadRecord(
        name=name,
        stamp=table.attributes["stamp"],
        member=name not in REFERENCES,
        metric=metric,
        spaces=[
            {"name": space.name, "choice": one.choice, "fitted_rows": one.fitted_rows}
            for space, one in zip(table.spaces, fitted, strict=True)
        ],
        threshold=asdict(verdict.threshold),
        seconds=round(sum(one.seconds for one in fitted), 2),
        scores=verdict.scores,
    )
    probabilities = Probabilities(held_out, final, verdict.row_threshold)
    save_head(folder, record, fitted, probabilities)


def _drop_others(folder: Path, stamp: str, metric: str) -> None:
    """Heads of earlier fits stay members if they fit these features and this metric."""
    for name in ENTRIES:
        path = folder / name / "head.json"
        if path.is_file():
            record = read_json(path, "fit-heads")
            if (record["stamp"], record["metric"]) != (stamp, metric):
                say(f"dropping {name}: fitted earlier, on other features or for another metric")
                shutil.rmtree(folder / name)


def _ensemble(
    kind: str, members: list[HeadRecord], parts: list[Probabilities], table: FeatureTable
) -> tuple[np.ndarray, Verdict]:
    """Probability of every row, (N,), and the verdict on it."""
    held_out = np.stack([part.held_out for part in parts])
    final = np.stack([part.final for part in parts])
    thresholds = np.array([[record.threshold["value"]] for record in members])
    row_thresholds = np.stack([part.row_threshold for part in parts])
    known = ~np.isnan(held_out).any(axis=0)
    reference = held_out[:, known]
    together = np.full(len(table), np.nan)
    together[known] = combine(kind, reference, reference, row_thresholds[:, known])
    probability = combine(kind, final, reference, thresholds)
    seed = table.attributes["config"]["seed"]
    metric = members[0].metric
    reported = reported_rows(table)
    default = neutral_threshold(kind, share_of_positives(table.rows))
    return probability, judge(table.rows, reported, together, probability, metric, seed, default)
