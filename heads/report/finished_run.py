"""Load a finished run for the report: the files that extract, fit-heads and submit wrote."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.feature_table import FeatureTable, Space
from features.hdf5_store import read_features
from heads.decision.prior_shift import class_weights
from heads.ensemble.doubtful_labels import DoubtfulLabels, find_doubtful_labels
from heads.ensemble.explained_memes import Explained, read_explanations
from heads.ensemble.run_memes import Meme, read_memes
from heads.ensemble.saved_ensemble import (
    WITHOUT_FINE_TUNING_FILE,
    EnsembleRecord,
    read_ensemble,
    read_ensemble_probabilities,
)
from heads.evaluation.bootstrap import resampled
from heads.evaluation.terminal_results_table import WITHOUT_FINE_TUNING
from heads.fitting.head_inputs import Projected, project_spaces
from heads.fitting.saved_heads import HeadRecord, read_probabilities, read_records
from heads.registry import REFERENCES
from runtime.errors import UserError, user_error_if_damaged
from runtime.files.json_files import read_json

ENSEMBLE = "ensemble"

PRETRAINED = "pretrained"


@dataclass(frozen=True)
class EvaluatedModel:
    """A head or the ensemble: its probabilities, threshold and scores. N is the number of rows."""

    name: str
    held_out: np.ndarray
    """float64 (N,): held-out probabilities, NaN for rows that are not evaluated."""
    final: np.ndarray
    """float64 (N,): probabilities of test rows, NaN for other rows."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's part."""
    threshold: dict[str, Any]
    """Threshold of the submission and how it was tuned."""
    scores: dict[str, Any]
    record: HeadRecord | None = None
    """None for the ensemble."""

    def auroc(self, rows: str = "held_out") -> dict[str, Any] | None:
        """AUROC and its interval on `held_out` or `test` rows; None if it is undefined."""
        return self.scores[rows] and self.scores[rows]["auroc"]


@dataclass(frozen=True)
class FinishedRun:
    """The contents of a run folder that the report needs."""

    folder: Path
    table: FeatureTable
    ensemble: EnsembleRecord
    models: dict[str, EvaluatedModel]
    """By name: the ensemble first, then the heads in the order of the registry."""
    without_fine_tuning: EvaluatedModel | None
    """The same ensemble of the label-free spaces alone; None if the run has no such ensemble."""
    memes: list[Meme]
    """In the order of the table's rows."""
    data: dict[str, Any]
    """data.json."""
    check: list[dict[str, Any]] | None
    """Contents of check.json; None if `check` has not been run."""
    explanations: dict[int, Explained] | None
    """By row; None if `report --explain` has not been run on this ensemble."""

    @property
    def seed(self) -> int:
        """Seed of the run, also used for bootstrap resamples."""
        return self.table.attributes["config"]["seed"]

    @cached_property
    def held_out_rows(self) -> np.ndarray:
        """Indices of the rows for which every model has a held-out probability."""
        missing = np.any([np.isnan(model.held_out) for model in self.models.values()], axis=0)
        return np.flatnonzero(~missing)

    @cached_property
    def test_rows(self) -> np.ndarray:
        """Indices of the test rows whose label is known."""
        rows = self.table.rows
        return np.flatnonzero((rows.split == "test") & (rows.label >= 0))

    def resampled(
        self, metric: Callable[[np.ndarray], np.ndarray], row_indices: np.ndarray
    ) -> np.ndarray:
        """Metric f(weights (r, n)) of n rows on the bootstrap samples behind metrics.json."""
        return resampled(metric, self.table.rows.group[row_indices], self.seed)

    @cached_property
    def weight(self) -> np.ndarray:
        """float64 (N,): weight of each row in metrics, 1 unless `submit` was given a prior."""
        label, prior = self.table.rows.label, self.ensemble.prior
        if prior is None:
            return np.ones(len(label))
        return class_weights(label, self.ensemble.trained_prior, prior)

    @cached_property
    def doubtful_labels(self) -> DoubtfulLabels:
        """Label issues, as in label_issues.csv."""
        held_out, contradictions = self.models[ENSEMBLE].held_out, self.data["contradictions"]
        return find_doubtful_labels(self.table.rows, held_out, self.ensemble, contradictions)

    def heads(self, member: bool | None = None) -> list[EvaluatedModel]:
        """All heads, or only those that were (`True`) or were not (`False`) ensemble candidates."""
        heads = [model for model in self.models.values() if model.record]
        return [head for head in heads if member is None or head.record.member == member]

    def best_head(self) -> EvaluatedModel:
        """The ensemble candidate with the highest held-out AUROC."""
        return max(self.heads(member=True), key=lambda head: head.auroc()["value"])

    def best_modality(self) -> EvaluatedModel:
        """The single-modality head with the highest held-out AUROC."""
        heads = [self.models[name] for name in REFERENCES]
        return max(heads, key=lambda head: head.auroc()["value"])

    def common_space(self) -> Space:
        """The space used to compare memes: `pretrained` if there is one, else the first."""
        spaces = {space.name: space for space in self.table.spaces}
        return spaces.get(PRETRAINED, self.table.spaces[0])

    def projected(self, space: Space) -> np.ndarray:
        """float32 (N, columns): a space's columns as the heads' input."""
        return self._projected[space.name].X

    @cached_property
    def _projected(self) -> dict[str, Projected]:
        return project_spaces(self.table, self.folder)


def read_run(folder: Path) -> FinishedRun:
    """Read a run. Raises UserError with the command to run if a file is missing or outdated."""
    table = read_features(folder / "features.h5", embeddings=False)
    heads, stamp = folder / "heads", table.attributes["stamp"]
    records = read_records(heads, stamp)
    ensemble = read_ensemble(heads)
    data = read_json(folder / "data.json", "extract")
    for path, found in (("heads/ensemble.json", ensemble.stamp), ("data.json", data.get("stamp"))):
        if found != stamp:
            command = "extract" if path == "data.json" else "submit"
            raise UserError(
                f"{folder / path} was written for other features than features.h5 contains now. "
                f"Run: python pipeline.py {command}"
            )
    models = [_read_ensemble(ensemble, heads), *(_read_head(record, heads) for record in records)]
    return FinishedRun(
        folder=folder,
        table=table,
        ensemble=ensemble,
        models={model.name: model for model in models},
        without_fine_tuning=_read_without_fine_tuning(ensemble, heads),
        memes=read_memes(folder / "memes.jsonl", table.rows.id),
        data=data,
        check=_read_check(folder / "check.json"),
        explanations=read_explanations(folder),
    )


def _read_ensemble(ensemble: EnsembleRecord, heads: Path) -> EvaluatedModel:
    arrays = asdict(read_ensemble_probabilities(heads))
    return EvaluatedModel(ENSEMBLE, **arrays, threshold=ensemble.threshold, scores=ensemble.scores)


def _read_without_fine_tuning(ensemble: EnsembleRecord, heads: Path) -> EvaluatedModel | None:
    if ensemble.without_fine_tuning is None:
        return None
    arrays = asdict(read_ensemble_probabilities(heads, WITHOUT_FINE_TUNING_FILE))
    return EvaluatedModel(WITHOUT_FINE_TUNING, **arrays, **ensemble.without_fine_tuning)


def _read_head(record: HeadRecord, heads: Path) -> EvaluatedModel:
    probabilities = read_probabilities(heads / record.name)
    return EvaluatedModel(
        record.name,
        probabilities.held_out,
        probabilities.final,
        probabilities.row_threshold,
        record.threshold,
        record.scores,
        record,
    )


def _read_check(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    with user_error_if_damaged(path, "Run: python pipeline.py check"):
        return read_json(path, "check")["checks"]
