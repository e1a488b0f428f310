"""Does fusion use both modalities, and does it pay?"""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.check.check_result import Check
from heads.decision.calibration import Calibration
from heads.evaluation.bootstrap import interval, resampling_weights
from heads.evaluation.metrics import auroc
from heads.fitting.cross_validation import fits
from heads.fitting.head_inputs import Columns, Projected, columns_of
from heads.fitting.held_out_evaluation import Protocol
from heads.fitting.saved_heads import HeadRecord, load_models, read_probabilities
from heads.fitting.space_blending import apply_blend
from heads.registry import ENTRIES, REFERENCES


def modality_use(
    records: list[HeadRecord],
    table: FeatureTable,
    projected: dict[str, Projected],
    protocol: Protocol,
    heads: Path,
) -> list[Check]:
    """Of each head that sees both modalities: its AUROC, and with one modality's rows shuffled."""
    y, reported = table.rows.label, table.reported
    checks = []
    for record in records:
        if not record.member or ENTRIES[record.name].view != "both":
            continue
        own = read_probabilities(heads / record.name).held_out
        figures = {"both": float(roc_auc_score(y[reported], own[reported]))}
        for modality in ("image", "text"):
            said = _shuffled(modality, record, table, projected, protocol, heads)
            figures[f"{modality}_shuffled"] = float(roc_auc_score(y[reported], said[reported]))
        lost = {m: figures["both"] - figures[f"{m}_shuffled"] for m in ("image", "text")}
        checks.append(
            Check(
                f"modality use, {record.name}",
                True,
                f"Held-out AUROC {figures['both']:.3f}; {figures['image_shuffled']:.3f} with "
                f"pictures shuffled among rows ({-lost['image']:+.3f}), "
                f"{figures['text_shuffled']:.3f} with captions shuffled ({-lost['text']:+.3f}).",
                figures,
            )
        )
    return checks


def fusion_gain(table: FeatureTable, ensemble: np.ndarray, heads: Path, seed: int) -> Check:
    """The ensemble against its best single modality, paired, on held-out rows.

    `ensemble` float64 (N,): its held-out probabilities.
    """
    rows, reported = table.rows, np.flatnonzero(table.reported)
    y = rows.label[reported]
    alone = {n: read_probabilities(heads / n).held_out[reported] for n in REFERENCES}
    single = {name: float(roc_auc_score(y, said)) for name, said in alone.items()}
    best = max(single, key=single.get)
    fused = float(roc_auc_score(y, ensemble[reported]))
    weights = resampling_weights(rows.group[reported], seed)
    low, high = interval(auroc(y, ensemble[reported])(weights) - auroc(y, alone[best])(weights))
    gain = fused - single[best]
    evaluation = (
        "Fusion pays."
        if low > 0
        else f"Fusion does not beat {best} beyond noise: nothing measurable is added to it."
    )
    told = ", ".join(f"{name} {value:.3f}" for name, value in single.items())
    return Check(
        "fusion",
        True,
        f"Held-out AUROC: {told}, ensemble {fused:.3f}: {gain:+.3f} [{low:+.3f}, {high:+.3f}] over "
        f"{best}. {evaluation}",
        {**single, "ensemble": fused, "gain": gain, "gain_interval": [low, high]},
    )


def _shuffled(
    modality: str,
    record: HeadRecord,
    table: FeatureTable,
    projected: dict[str, Projected],
    protocol: Protocol,
    heads: Path,
) -> np.ndarray:
    """Held-out probabilities float64 (N,) with one modality's columns dealt out anew."""
    rng = np.random.default_rng(protocol.seed)
    labelled, said = table.rows.labelled, {}
    for known in record.kinds:
        kind = known["name"]
        models = load_models(heads / record.name, record, kind)
        spaces = columns_of(ENTRIES[record.name], table.kinds()[kind], projected, labelled)
        said[kind] = np.full(len(labelled), np.nan)
        for space in spaces:
            X = _dealt(space, modality, rng)
            parts = fits(space, known["choice"]["fitted_on"], protocol.part)
            for model, (_, own) in zip(models[space.space], parts, strict=True):
                if own.any():
                    said[kind][own] = model.predict_proba(X[own])[:, 1]
    calibrations = {k["name"]: Calibration(**k["calibration"]) for k in record.kinds}
    return apply_blend(record.blend, calibrations, said)


def _dealt(space: Columns, modality: str, rng: np.random.Generator) -> np.ndarray:
    """X with one modality's columns permuted among the held-out rows."""
    own = np.flatnonzero(space.held_out)
    columns = (
        slice(None, space.image_width) if modality == "image" else slice(space.image_width, None)
    )
    X = space.X.copy()
    X[own, columns] = space.X[rng.permutation(own), columns]
    return X
