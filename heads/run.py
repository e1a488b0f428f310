"""Stage two from end to end: features.h5 in, heads with their thresholds, then solution.csv out."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from features.feature_table import FeatureTable
from features.hdf5_store import read_features
from heads.check.submission_checks import check_scores
from heads.config import FitConfig, SubmitConfig
from heads.ensemble.build_ensemble import build_ensemble
from heads.ensemble.saved_ensemble import save_ensembled
from heads.ensemble.submission import (
    check_submission,
    rows_asked_for,
    share_of_positives,
    write_predictions,
    write_solution,
)
from heads.evaluation.results_table import print_tables
from heads.fitting.cross_validation import MOST_ROWS
from heads.fitting.fit_head import fit_head
from heads.fitting.head_inputs import Projected, project
from heads.fitting.held_out_evaluation import Protocol, open_protocol
from heads.fitting.saved_heads import (
    read_record,
    read_records,
)
from heads.registry import ENTRIES, REFERENCES, STAGE_ONE
from runtime.atomic_files import remove_folder
from runtime.errors import UserError
from runtime.json_files import read_json, read_object, write_json
from runtime.progress import log, progress

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
    protocol = open_protocol(table, config.metric, heads)
    projected = project(table, run)
    if table.rows.labelled.sum() > MOST_ROWS:
        log(f"each fit is given at most {MOST_ROWS} rows; all held-out rows are scored")
    # Figures, ensemble and checks are of the heads as they were.
    for path in (run / "metrics.json", heads / "ensemble.json", run / "check.json"):
        path.unlink(missing_ok=True)
    _drop_others(heads, stamp, config.metric)
    _fit_all(config, table, projected, protocol, heads)
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
    protocol: Protocol,
    heads: Path,
) -> None:
    """Fit the heads asked for and those lacking, but none that a killed call for the same fitted.

    While heads/begun.json is there, it says how far this has come.
    """
    asked, begun = config.names(), heads / PROGRESS
    request = {"stamp": table.attributes["stamp"], "metric": protocol.metric, "names": asked}
    remedy = "Delete it and run: python pipeline.py fit-heads"
    known = read_object(begun, remedy) if begun.is_file() else {}
    fitted = known.pop("fitted", []) if known.items() >= request.items() else []
    fitted = [name for name in fitted if (heads / name / "head.json").is_file()]
    if fitted:
        log(f"fitted before this was broken off, and kept: {', '.join(fitted)}")
    lacking = [n for n in (*STAGE_ONE, *REFERENCES) if not (heads / n / "head.json").is_file()]
    names = [name for name in ENTRIES if name in {*asked, *lacking} - {*fitted}]
    try:
        with progress("fit heads", len(names), "heads") as advance:
            for name in names:
                write_json(begun, {**request, "fitted": fitted})
                fit_head(name, table, projected, protocol, heads)
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
    ensemble, said = build_ensemble(config.ensemble, config.prior, offered, table, run / "heads")
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
        log(
            f"val memes are not like train memes: logits moved by {ensemble.offset:+.2f} for val "
            "and test memes (--prior takes the place of this)"
        )
    for check in check_scores(ensemble, decision[asked], ensemble.prior or ensemble.trained_prior):
        if not check.ok:
            log(f"WARNING: {check.sentence}")
    return solution


def _drop_others(folder: Path, stamp: str, metric: str) -> None:
    """Heads of earlier fits stay members if they fit these features and this metric."""
    for name in ENTRIES:
        if (folder / name / "head.json").is_file():
            record = read_record(folder / name)
            if (record.stamp, record.metric) != (stamp, metric):
                log(f"dropping {name}: fitted earlier, on other features or for another metric")
                remove_folder(folder / name)
