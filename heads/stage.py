"""Stage two from end to end: features.h5 in, heads with their thresholds, then solution.csv out."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from features.errors import UserError
from features.files import read_json, remove_folder, write_json
from features.loading import read_object
from features.progress import progress, say
from features.store import read_features
from features.table import FeatureTable
from heads import ENTRIES, REFERENCES, STAGE_ONE
from heads.check.guard import guard_scores
from heads.columns import Projected, project
from heads.combination import BEST, ENSEMBLES
from heads.config import FitConfig, SubmitConfig
from heads.crossfit import MOST_ROWS
from heads.ensemble import Combined, Ensemble, Members, finish, fit_kinds
from heads.fit import fit_head
from heads.judge import Bench, judge
from heads.losses import loss
from heads.members import correlation, member_facts
from heads.nested import cut_parts
from heads.offset import offset_for_val
from heads.prior import class_weights
from heads.saved import (
    Ensembled,
    HeadRecord,
    read_parts,
    read_probabilities,
    read_record,
    read_records,
    save_ensembled,
    save_parts,
)
from heads.submission import (
    check_submission,
    rows_asked_for,
    share_of_positives,
    write_predictions,
    write_solution,
)
from heads.tables import print_tables

PROGRESS = "begun.json"
"""In the folder of the heads, while they are fitted: which ones, and which of them are."""
SOLUTION = "solution.json"
"""In the run's folder: where the solution was written, its hash, and what it is of."""


def fit_heads(config: FitConfig, run: Path, show: bool = True) -> Path:
    """Fit the heads asked for, and what the run still lacks of the reference heads.

    Writes heads/ and metrics.json, prints the table of all heads of the run unless not to `show`
    it, and returns the path of metrics.json.
    """
    table = read_features(run / "features.h5", embeddings=False)
    heads, stamp = run / "heads", table.attributes["stamp"]
    bench = open_bench(table, config.metric, heads)
    projected = project(table, run)
    if table.rows.labelled.sum() > MOST_ROWS:
        say(f"each fit is given at most {MOST_ROWS} rows; all held-out rows are scored")
    # Figures, ensemble and checks are of the heads as they were.
    for path in (run / "metrics.json", heads / "ensemble.json", run / "check.json"):
        path.unlink(missing_ok=True)
    _drop_others(heads, stamp, config.metric)
    _fit_all(config, table, projected, bench, heads)
    metrics = {
        "stamp": stamp,
        "metric": config.metric,
        "train_positive_share": share_of_positives(table.rows),
        "heads": [asdict(record) for record in read_records(heads, stamp)],
        "ensemble": None,
    }
    if show:
        print_tables(metrics)
    return write_json(run / "metrics.json", metrics)


def _fit_all(
    config: FitConfig,
    table: FeatureTable,
    projected: dict[str, Projected],
    bench: Bench,
    heads: Path,
) -> None:
    """Fit the heads asked for and those lacking, but none that a killed call for the same fitted.

    While heads/begun.json is there, it says how far this has come.
    """
    asked, begun = config.names(), heads / PROGRESS
    request = {"stamp": table.attributes["stamp"], "metric": bench.metric, "names": asked}
    remedy = "Delete it and run: python pipeline.py fit-heads"
    known = read_object(begun, remedy) if begun.is_file() else {}
    fitted = known.pop("fitted", []) if known.items() >= request.items() else []
    fitted = [name for name in fitted if (heads / name / "head.json").is_file()]
    if fitted:
        say(f"fitted before this was broken off, and kept: {', '.join(fitted)}")
    lacking = [n for n in (*STAGE_ONE, *REFERENCES) if not (heads / n / "head.json").is_file()]
    names = [name for name in ENTRIES if name in {*asked, *lacking} - {*fitted}]
    try:
        with progress("fit heads", len(names), "heads") as advance:
            for name in names:
                write_json(begun, {**request, "fitted": fitted})
                fit_head(name, table, projected, bench, heads)
                fitted.append(name)
                advance(1)
    except Exception:
        # A fault in a head is mended before the next call, and then none is taken as fitted.
        begun.unlink(missing_ok=True)
        raise
    begun.unlink(missing_ok=True)


def submit(config: SubmitConfig, run: Path) -> Path:
    """Ensemble the run's heads, tune its threshold, write predictions.csv and solution.csv.

    Prints the table with the ensemble in it; returns the path of the solution. Raises UserError,
    before anything is written, if an id is missing, repeated or without a finite probability.
    """
    table = read_features(run / "features.h5", embeddings=False)
    rows, attributes = table.rows, table.attributes
    if (run / "heads" / PROGRESS).is_file():
        raise UserError(f"{run}: fit-heads was broken off. Run it again, and it goes on.")
    metrics = read_json(run / "metrics.json", "fit-heads")
    records = read_records(run / "heads", attributes["stamp"])
    offered = [record for record in records if record.member]
    ensemble, said = _ensemble(config, offered, table, run / "heads")
    probability = said.final
    decision = probability > ensemble.threshold["value"]
    test, asked = np.flatnonzero(rows.split == "test"), rows_asked_for(rows)
    check_submission(rows, asked, probability)
    metrics["ensemble"] = asdict(ensemble)
    for path in (run / "check.json", run / SOLUTION):
        path.unlink(missing_ok=True)
    save_ensembled(run / "heads", said)
    write_json(run / "heads" / "ensemble.json", asdict(ensemble))
    write_json(run / "metrics.json", metrics)
    write_predictions(run / "predictions.csv", rows.id[test], probability[test], decision[test])
    values = probability[asked] if config.proba else decision[asked].astype(int)
    columns = attributes["id_column"], attributes["label_column"]
    solution = write_solution(Path(config.out), rows.id[asked], values, *columns)
    digest = hashlib.sha256(solution.read_bytes()).hexdigest()
    about = {"path": str(solution), "sha256": digest, "stamp": attributes["stamp"]}
    write_json(run / SOLUTION, about)
    print_tables(metrics)
    if ensemble.offset:
        say(
            f"val memes are not like train memes: logits moved by {ensemble.offset:+.2f} for val "
            "and test memes (--prior takes the place of this)"
        )
    for check in guard_scores(ensemble, decision[asked], ensemble.prior or ensemble.trained_prior):
        if not check.ok:
            say(f"WARNING: {check.sentence}")
    return solution


def open_bench(table: FeatureTable, metric: str, heads: Path) -> Bench:
    """What every head and ensemble of a run is judged on; its parts are cut once, and kept."""
    stamp, seed = table.attributes["stamp"], table.attributes["config"]["seed"]
    part = read_parts(heads, stamp)
    if part is None:
        part = cut_parts(table.rows, seed)
        save_parts(heads, stamp, part)
    return Bench(table.rows, part, metric, seed)


def _drop_others(folder: Path, stamp: str, metric: str) -> None:
    """Heads of earlier fits stay members if they fit these features and this metric."""
    for name in ENTRIES:
        if (folder / name / "head.json").is_file():
            record = read_record(folder / name)
            if (record.stamp, record.metric) != (stamp, metric):
                say(f"dropping {name}: fitted earlier, on other features or for another metric")
                remove_folder(folder / name)


def _ensemble(
    config: SubmitConfig, offered: list[HeadRecord], table: FeatureTable, heads: Path
) -> tuple[Ensemble, Ensembled]:
    """The ensemble asked for, and what it says of every row."""
    bench = open_bench(table, offered[0].metric, heads)
    y = table.rows.label.astype(np.int64)
    members = _members(offered, heads)
    kinds = list(ENSEMBLES) if config.ensemble == BEST else [config.ensemble]
    combined, tried = fit_kinds(kinds, members, y, bench.part)
    known = ~np.isnan(combined.held_out)
    trained = float(y[known].mean())
    prior = config.prior
    weight = None if prior is None else class_weights(table.rows.label, trained, prior)
    offset, honest = 0.0, combined.held_out
    if prior is None:
        offset, honest = offset_for_val(honest, table.rows, bench.part)
    held_out = finish(honest, 0.0, trained, prior)
    final = finish(combined.final, offset, trained, prior)
    verdict = judge(bench, held_out, final, weight)
    names = [record.name for record in offered]
    ensemble = Ensemble(
        stamp=table.attributes["stamp"],
        kind=combined.kind,
        weights={n: float(w) for n, w in zip(names, combined.weights, strict=True)},
        calibration=asdict(combined.calibration),
        offset=offset,
        trained_prior=trained,
        prior=prior,
        threshold=asdict(verdict.threshold),
        scores=verdict.scores,
        tried=[_trial(one, y) for one in tried],
        members=member_facts(names, members, combined, y),
        correlation=correlation(members),
    )
    return ensemble, Ensembled(held_out, final, verdict.row_threshold)


def _members(offered: list[HeadRecord], heads: Path) -> Members:
    parts = [read_probabilities(heads / record.name) for record in offered]
    return Members(
        np.stack([part.held_out for part in parts]),
        np.stack([part.final for part in parts]),
        np.stack([part.row_threshold for part in parts]),
        np.array([[record.threshold["value"]] for record in offered]),
    )


def _trial(one: Combined, y: np.ndarray) -> dict[str, Any]:
    known = ~np.isnan(one.held_out)
    return {
        "kind": one.kind,
        "log_loss": loss(y[known], one.held_out[known]),
        "auroc": float(roc_auc_score(y[known], one.held_out[known])),
    }
