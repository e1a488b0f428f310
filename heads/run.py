"""Stage two end to end: `fit_heads` fits heads on features.h5, `submit` writes solution.csv."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from features.feature_table import FeatureTable, Rows
from features.hdf5_store import read_features
from heads.check.submission_checks import check_scores
from heads.config import PROGRESS_FILE, SOLUTION_FILE, FitConfig, SubmitConfig
from heads.decision.terminal_operating_points import print_operating_points
from heads.ensemble.build_ensemble import BuiltEnsemble, build_ensemble
from heads.ensemble.doubtful_labels import FILE as LABEL_ISSUES_FILE
from heads.ensemble.doubtful_labels import find_doubtful_labels, label_issues_csv
from heads.ensemble.run_memes import read_memes
from heads.ensemble.saved_ensemble import (
    WITHOUT_FINE_TUNING_FILE,
    EnsembleRecord,
    save_ensemble_probabilities,
)
from heads.ensemble.submission import (
    requested_rows,
    train_positive_share,
    validate_submission,
    write_predictions,
    write_solution,
)
from heads.evaluation.terminal_results_table import print_results_tables
from heads.fitting.candidate_fits import MAX_ROWS_PER_FIT
from heads.fitting.fit_head import fit_head
from heads.fitting.head_inputs import Projected, has_inputs, project_spaces
from heads.fitting.held_out_evaluation import Protocol, load_protocol
from heads.fitting.saved_heads import (
    read_record,
    read_records,
    saved_heads,
)
from heads.registry import ENTRIES, REFERENCES, STAGE_ONE
from runtime.errors import UserError
from runtime.files.atomic_files import remove_folder, write_text
from runtime.files.json_files import read_json, read_object, write_json
from runtime.progress import log, progress


def fit_heads(config: FitConfig, run: Path, show: bool = True) -> Path:
    """Fit the requested heads, and the `joint` and reference heads that the run lacks.

    Writes heads/ and metrics.json, prints the table of all heads of the run if `show`, and returns
    the path of metrics.json.
    """
    table = read_features(run / "features.h5", embeddings=False)
    heads, stamp = run / "heads", table.attributes["stamp"]
    protocol = load_protocol(table, config.metric, heads)
    projected = project_spaces(table, run)
    if table.rows.labelled.sum() > MAX_ROWS_PER_FIT:
        log(f"each fit is given at most {MAX_ROWS_PER_FIT} rows; all held-out rows are scored")
    # Metrics, ensemble and checks describe the heads as they were before this call.
    outdated = (heads / "ensemble.json", run / "check.json", run / LABEL_ISSUES_FILE)
    for path in (run / "metrics.json", *outdated):
        path.unlink(missing_ok=True)
    _remove_outdated_heads(heads, stamp, config.metric)
    _fit_missing_heads(config, table, projected, protocol, heads)
    metrics = {
        "stamp": stamp,
        "metric": config.metric,
        "train_positive_share": train_positive_share(table.rows),
        "heads": [asdict(record) for record in read_records(heads, stamp)],
        "ensemble": None,
    }
    path = write_json(run / "metrics.json", metrics)
    if show:  # last: a closed pipe ends the command here
        print_results_tables(metrics)
    return path


def _fit_missing_heads(
    config: FitConfig,
    table: FeatureTable,
    projected: dict[str, Projected],
    protocol: Protocol,
    heads: Path,
) -> None:
    """Fit the requested and the missing heads, except those that an interrupted call has fitted.

    Heads that stack one of them are fitted again, since `predict` feeds them its new outputs.
    heads/begun.json records the progress and is deleted at the end, so that the same request
    resumes after an interruption.
    """
    requested, progress_file = config.names(), heads / PROGRESS_FILE
    request = {"stamp": table.attributes["stamp"], "metric": protocol.metric, "names": requested}
    remedy = "Delete it and run: python pipeline.py fit-heads"
    saved = read_object(progress_file, remedy) if progress_file.is_file() else {}
    fitted = saved.pop("fitted", []) if saved.items() >= request.items() else []
    existing = saved_heads(heads)
    fitted = [name for name in fitted if name in existing]
    if fitted:
        log(f"resuming the interrupted fit-heads; already fitted: {', '.join(fitted)}")
    missing = {*STAGE_ONE, *REFERENCES} - {*existing}
    wanted = {*requested, *missing} - {*fitted}
    without = [n for n in ENTRIES if n in wanted and not has_inputs(ENTRIES[n], table)]
    if without:
        log(f"not fitted, because this run has no space for them: {', '.join(without)}")
    # An interrupted call may have fitted some of its heads anew.
    changed = {*wanted, *fitted, *saved.get("names", ())} - {*without}
    stacks = {name for name in existing if changed & {*ENTRIES[name].parents}}
    names = [name for name in ENTRIES if name in (wanted | stacks) - {*without, *fitted}]
    try:
        with progress("fit heads", len(names), "heads") as advance:
            for name in names:
                write_json(progress_file, {**request, "fitted": fitted})
                fit_head(name, table, projected, protocol, heads)
                fitted.append(name)
                advance(1)
    except Exception:
        # A bug in a head may be fixed before the next call, which then has to fit all heads again.
        progress_file.unlink(missing_ok=True)
        raise
    progress_file.unlink(missing_ok=True)


def submit(config: SubmitConfig, run: Path) -> Path:
    """Build the ensemble, tune its threshold; write predictions, label issues and solution.csv.

    Prints the table of heads and ensemble; returns the path of the solution. Raises UserError,
    before writing anything, if an id is missing, repeated or without a finite probability, or if
    data.json or memes.jsonl is damaged.
    """
    table = read_features(run / "features.h5", embeddings=False)
    rows, attributes = table.rows, table.attributes
    if (run / "heads" / PROGRESS_FILE).is_file():
        raise UserError(
            f"{run}: fit-heads was interrupted. To resume, run: python pipeline.py fit-heads"
        )
    metrics = read_json(run / "metrics.json", "fit-heads")
    records = read_records(run / "heads", attributes["stamp"])
    offered = [record for record in records if record.member]
    built = build_ensemble(
        config.ensemble, config.prior, config.targets(), offered, table, run / "heads"
    )
    ensemble, probability = built.record, built.probabilities.final
    decision = probability > ensemble.threshold["value"]
    test, requested = np.flatnonzero(rows.split == "test"), requested_rows(rows)
    validate_submission(rows, requested, probability)
    label_issues = _label_issues(run, rows, built)
    metrics["ensemble"] = asdict(ensemble)
    for path in (run / "check.json", run / LABEL_ISSUES_FILE, run / SOLUTION_FILE):
        path.unlink(missing_ok=True)
    save_ensemble_probabilities(run / "heads", built.probabilities)
    if built.without_fine_tuning:
        save_ensemble_probabilities(
            run / "heads", built.without_fine_tuning, WITHOUT_FINE_TUNING_FILE
        )
    write_json(run / "heads" / "ensemble.json", asdict(ensemble))
    write_json(run / "metrics.json", metrics)
    write_text(run / LABEL_ISSUES_FILE, label_issues)
    write_predictions(run / "predictions.csv", rows.id[test], probability[test], decision[test])
    solution = _write_solution(config, run, table, probability, decision)
    print_results_tables(metrics)
    print_operating_points(ensemble.operating_points, ensemble.review_band)
    _log_adjustment_and_warnings(ensemble, decision[requested])
    return solution


def _write_solution(
    config: SubmitConfig,
    run: Path,
    table: FeatureTable,
    probability: np.ndarray,
    decision: np.ndarray,
) -> Path:
    """Write the solution, and the record by which `status` knows it; return its path."""
    rows, attributes, requested = table.rows, table.attributes, requested_rows(table.rows)
    values = probability[requested] if config.proba else decision[requested].astype(int)
    columns = {attributes["id_column"]: rows.id[requested], attributes["label_column"]: values}
    # DrivenData's submissions have a column of probabilities besides.
    names = attributes.get("submission_columns") or columns
    named = {name: columns.get(name, probability[requested]) for name in names}
    solution = write_solution(Path(config.out), named)
    checksum = hashlib.sha256(solution.read_bytes()).hexdigest()
    record = {"path": str(solution), "sha256": checksum, "stamp": attributes["stamp"]}
    write_json(run / SOLUTION_FILE, record)
    return solution


def _log_adjustment_and_warnings(ensemble: EnsembleRecord, decision: np.ndarray) -> None:
    """Say what was added to logits, and what is odd about the decisions, bool (A,)."""
    if ensemble.offset:
        log(
            f"added {ensemble.offset:+.2f} to the logits of val and test memes, "
            "to fit the share of positives in val (--prior overrides this)"
        )
    prior = ensemble.prior or ensemble.trained_prior
    for check in check_scores(ensemble, decision, prior):
        if not check.ok:
            log(f"WARNING: {check.sentence}")


def _label_issues(run: Path, rows: Rows, built: BuiltEnsemble) -> str:
    """Return the content of label_issues.csv. A run can have been moved with features.h5 only."""
    data, memes = run / "data.json", run / "memes.jsonl"
    contradictions = read_json(data, "extract")["contradictions"] if data.is_file() else []
    held_out = built.probabilities.held_out
    doubtful = find_doubtful_labels(rows, held_out, built.record, contradictions)
    if not memes.is_file():
        log(f"{memes} is missing: {LABEL_ISSUES_FILE} has no captions")
        return label_issues_csv(doubtful, None)
    return label_issues_csv(doubtful, read_memes(memes, rows.id))


def _remove_outdated_heads(folder: Path, stamp: str, metric: str) -> None:
    """Delete saved heads that were fitted on other features or tuned for another metric."""
    for name in saved_heads(folder):
        record = read_record(folder / name)
        if (record.stamp, record.metric) != (stamp, metric):
            log(f"removing {name}: fitted earlier, on other features or for another metric")
            remove_folder(folder / name)
