"""Whether a run has features.h5; imports quickly, so that a mistyped run is refused at once."""

from pathlib import Path

from runtime.errors import UserError


def require_features(path: Path) -> None:
    """Raise UserError if there is no features.h5 at `path`."""
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py extract")
