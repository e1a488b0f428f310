"""Modality checks: does each head use both modalities, and does fusion improve AUROC?"""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.check.check_result import Check
from heads.decision.calibration import Calibration
from heads.evaluation.bootstrap import percentile_interval, resampled
from heads.evaluation.metrics import auroc
from heads.fitting.candidate_fits import cross_validation_splits
from heads.fitting.head_inputs import LABEL_FREE, HeadInputs, Projected, inputs_by_kind
from heads.fitting.held_out_evaluation import Protocol
from heads.fitting.saved_heads import HeadRecord, load_models, read_probabilities
from heads.fitting.space_blending import apply_blend
from heads.registry import ENTRIES, REFERENCES


def shuffled_modalities(
    records: list[HeadRecord],
    table: FeatureTable,
    projected: dict[str, Projected],
    protocol: Protocol,
    heads: Path,
) -> list[Check]:
    """Compare each head's AUROC with its AUROC after one modality is shuffled among rows.

    This is permutation importance by modality (Breiman 2001). It covers the ensemble candidates
    whose input is both modalities.
    """
    y, reported = table.rows.label, table.reported
    checks = []
    for record in records:
        if not record.member or ENTRIES[record.name].view not in ("both", LABEL_FREE):
            continue
        held_out = read_probabilities(heads / record.name).held_out
        figures = {"both": float(roc_auc_score(y[reported], held_out[reported]))}
        for modality in ("image", "text"):
            shuffled = _predict_shuffled(modality, record, table, projected, protocol, heads)
            figures[f"{modality}_shuffled"] = float(roc_auc_score(y[reported], shuffled[reported]))
        change = {m: figures[f"{m}_shuffled"] - figures["both"] for m in ("image", "text")}
        checks.append(
            Check(
                f"modality use, {record.name}",
                True,
                f"Held-out AUROC {figures['both']:.3f}; {figures['image_shuffled']:.3f} with "
                f"pictures shuffled among rows ({change['image']:+.3f}), "
                f"{figures['text_shuffled']:.3f} with captions shuffled ({change['text']:+.3f}).",
                figures,
            )
        )
    return checks


def fusion_gain(table: FeatureTable, ensemble: np.ndarray, heads: Path, seed: int) -> Check:
    """Paired difference in held-out AUROC between the ensemble and the best single modality.

    `ensemble` float64 (N,): held-out probabilities of the ensemble.
    """
    rows, reported = table.rows, np.flatnonzero(table.reported)
    y = rows.label[reported]
    references = {n: read_probabilities(heads / n).held_out[reported] for n in REFERENCES}
    single = {n: float(roc_auc_score(y, held_out)) for n, held_out in references.items()}
    best = max(single, key=single.get)
    fused = float(roc_auc_score(y, ensemble[reported]))
    both, alone = auroc(y, ensemble[reported]), auroc(y, references[best])
    gains = resampled(lambda times: both(times) - alone(times), rows.group[reported], seed)
    low, high = percentile_interval(gains)
    gain = fused - single[best]
    evaluation = (
        f"Fusion is significantly better than {best}."
        if low > 0
        else f"Fusion is not significantly better than {best}."
    )
    listed = ", ".join(f"{name} {value:.3f}" for name, value in single.items())
    return Check(
        "fusion",
        True,
        f"Held-out AUROC: {listed}, ensemble {fused:.3f}. Gain over {best}: {gain:+.3f} "
        f"[{low:+.3f}, {high:+.3f}]. {evaluation}",
        {**single, "ensemble": fused, "gain": gain, "gain_interval": [low, high]},
    )


def _predict_shuffled(
    modality: str,
    record: HeadRecord,
    table: FeatureTable,
    projected: dict[str, Projected],
    protocol: Protocol,
    heads: Path,
) -> np.ndarray:
    """Held-out probabilities float64 (N,) with one modality's columns permuted among rows."""
    rng = np.random.default_rng(protocol.seed)
    labelled, held_out = table.rows.labelled, {}
    inputs = inputs_by_kind(ENTRIES[record.name], table, projected, labelled)
    for entry in record.kinds:
        kind = entry["name"]
        models = load_models(heads / record.name, record, kind)
        held_out[kind] = np.full(len(labelled), np.nan)
        for space in inputs[kind]:
            X = _permuted(space, modality, rng)
            splits = cross_validation_splits(space, entry["choice"]["fitted_on"], protocol.part)
            for model, (_, predicted) in zip(models[space.space], splits, strict=True):
                if predicted.any():
                    held_out[kind][predicted] = model.predict_proba(X[predicted])[:, 1]
    calibrations = {k["name"]: Calibration(**k["calibration"]) for k in record.kinds}
    return apply_blend(record.blend, calibrations, held_out)


def _permuted(space: HeadInputs, modality: str, rng: np.random.Generator) -> np.ndarray:
    """X with one modality's columns permuted among the held-out rows."""
    rows = np.flatnonzero(space.held_out)
    columns = (
        slice(None, space.image_width) if modality == "image" else slice(space.image_width, None)
    )
    X = space.X.copy()
    X[rows, columns] = space.X[rng.permutation(rows), columns]
    return X
