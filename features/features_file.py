"""Whether a run has features.h5; imports quickly, so that a mistyped run is refused at once."""

from pathlib import Path

from runtime.errors import UserError, quoted_list


def require_features(path: Path) -> None:
    """Raise UserError if there is no features.h5 at `path`."""
    if not path.is_file():
        run = path.parent
        others = sorted(found.parent.name for found in run.parent.glob(f"*/{path.name}"))
        if not run.exists() and others:
            raise UserError(
                f"there is no run {run}; those with features are {quoted_list(others)}. To make "
                "this one, run: python pipeline.py extract"
            )
        raise UserError(f"{path} is missing. Run first: python pipeline.py extract")
