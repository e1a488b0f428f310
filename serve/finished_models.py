"""Refuse an unfinished run at once, before the libraries of its models are imported."""

from pathlib import Path

from extract.spaces.checkpoint import any_checkpoint
from heads.ensemble.saved_ensemble import read_ensemble
from heads.fitting.saved_heads import read_records


def require_models(run: Path) -> None:
    """Raise UserError unless a run has spaces, heads that were fitted on them, and an ensemble."""
    read_records(run / "heads", any_checkpoint(run / "backbones").stamp)
    read_ensemble(run / "heads")
