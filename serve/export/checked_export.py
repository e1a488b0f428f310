"""Refuse what cannot be exported at once, before the libraries of the models are imported."""

from importlib import import_module
from pathlib import Path

from runtime.errors import UserError
from serve.config import ExportConfig
from serve.finished_models import require_models

INSTALL = "pip install -r requirements-export.txt"


def export(config: ExportConfig, run: Path) -> Path:
    """Export a run to the folder `config.out`, and return it.

    Raises UserError for an unfinished or damaged run, a folder that is not empty, packages that are
    missing, or a tower that ONNX cannot express. Nothing is left in the folder then.
    """
    out = Path(config.out)
    require_models(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} is not empty. Name a new folder, or delete this one.")
    try:
        for name in ("onnx", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        missing = f"export needs packages that are not installed ({error})"
        raise UserError(f"{missing}. Run: {INSTALL}") from error
    from serve.export.export_run import export_run

    return export_run(run, out, config.int8)
