"""Export a run: towers as ONNX files, heads as they are, and the program that scores with them."""

import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from extract.frozen_sources import is_frozen_space
from extract.predict import space_folders
from extract.spaces.checkpoint import Checkpoint, read_checkpoint, verify_files
from extract.spaces.lexical import LEXICAL
from extract.spaces.model_files import load_model
from extract.spaces.pretrained import PRETRAINED
from extract.towers.device import CPU, Machine
from extract.towers.joint_model import JointModel
from heads.ensemble.saved_ensemble import read_ensemble
from heads.fitting.saved_heads import read_record
from heads.registry import ENTRIES
from runtime import memefuse_version
from runtime.files.atomic_files import atomic_write_folder
from runtime.files.file_checksums import folder_checksums
from runtime.files.json_files import write_json
from runtime.progress import log, progress
from serve.export.copied_modules import copy_modules
from serve.export.onnx_spaces import FUSION, IMAGE, TEXT, TOKENIZER, SpaceSettings
from serve.export.score_memes import MANIFEST, RUN
from serve.export.tower_graphs import (
    quantise,
    write_fusion,
    write_image_tower,
    write_text_tower,
)

SINGLE = Machine(CPU, *[torch.float32] * 3)
"""Towers are exported in single precision: ONNX Runtime has no bf16 on CPUs."""

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "onnxruntime", "tokenizers", "pillow"),
    *("safetensors", "xxhash", "rich"),
)
"""What the copied modules import, besides the packages of HEAD_PACKAGES."""

HEAD_PACKAGES = {"lightgbm": "lightgbm"}
"""Head -> a package that it alone needs."""

TEMPLATE = Path(__file__).parent / "exported_readme.md"


def export_run(run: Path, out: Path, int8: bool) -> Path:
    """Write the folder `out`, which replaces an empty one. Nothing is left of it if that fails.

    With `int8`, weights of towers are 8-bit integers. Raises UserError for a tower that ONNX cannot
    express, or damaged files.
    """
    heads = _used_heads(run / "heads")
    folders = space_folders(run / "backbones")
    checkpoints = {folder: read_checkpoint(folder) for folder in folders}
    with atomic_write_folder(out) as folder:
        with progress("export", len(folders), "spaces") as advance:
            spaces = {}
            for source, checkpoint in checkpoints.items():
                verify_files(source, checkpoint)
                target = folder / RUN / "backbones" / source.name
                spaces[source.name] = asdict(_export_space(source, checkpoint, target, int8))
                advance(1)
        _copy_heads(run / "heads", heads, folder / RUN / "heads")
        modules = [ENTRIES[name].path.partition(":")[0] for name in heads]
        copy_modules(["serve.export.score_memes", *modules], folder / "code")
        shutil.copyfile(Path(__file__).with_name("score.py"), folder / "score.py")
        _write_texts(folder, heads, run.name)
        first = checkpoints[folders[0]]
        write_json(folder / MANIFEST, _manifest(first, run.name, spaces, int8, folder))
    if "bf16" in first.machine or "fp16" in first.machine:
        log(
            f"the run embedded with {first.machine}; the export embeds in fp32, so probabilities "
            "differ (by up to 0.011 on 354 memes). After extract --precision fp32 they do not."
        )
    if first.read_captions:
        log("this run reads absent captions off pictures, which the exported program does not")
    return out


def _export_space(source: Path, checkpoint: Checkpoint, target: Path, int8: bool) -> SpaceSettings:
    target.mkdir(parents=True)
    dtype, origins = checkpoint.embedding_dtype, checkpoint.origins
    if source.name == LEXICAL:
        for name in checkpoint.files:
            shutil.copyfile(source / name, target / name)
        return SpaceSettings(origins, dtype, True, False, None, None, PRETRAINED)
    model = load_model(source, checkpoint, SINGLE)
    frozen = is_frozen_space(source.name)
    return SpaceSettings(
        origins,
        dtype,
        lexical=False,
        joint=_export_fusion(model, target),
        image=_export_image(model, checkpoint, target, int8, frozen),
        text=_export_text(model, checkpoint, target, int8, frozen),
        source=PRETRAINED if frozen else None,
    )


def _export_image(
    model: JointModel, checkpoint: Checkpoint, target: Path, int8: bool, frozen: bool
) -> dict[str, Any] | None:
    if (encoder := model.image) is None:
        return None
    # A frozen tower gets pictures in its own size, the others in that of the run.
    size = encoder.input_size if frozen else checkpoint.image_size
    write_image_tower(encoder, size, target / IMAGE)
    if int8:
        quantise(target / IMAGE)
    return {"size": size, "interpolation": encoder.interpolation}


def _export_text(
    model: JointModel, checkpoint: Checkpoint, target: Path, int8: bool, frozen: bool
) -> dict[str, Any] | None:
    if (encoder := model.text) is None:
        return None
    longest = min(checkpoint.max_tokens, encoder.max_tokens)
    write_text_tower(encoder, longest, target / TEXT)
    if int8:
        quantise(target / TEXT)
    encoder.tokenizer.save(str(target / TOKENIZER))
    prefix = encoder.prefix if frozen else ""
    return {"max_tokens": longest, "pad_id": encoder.pad_id, "prefix": prefix}


def _export_fusion(model: JointModel, target: Path) -> bool:
    if model.fusion is None:
        return False
    widths = {name: tower.dim for name, tower in model.towers.items()}
    write_fusion(model.fusion, widths, target / FUSION)
    return True


def _used_heads(heads: Path) -> list[str]:
    """Return the members of the ensemble, and the heads that they stack and that are fitted."""
    members = [name for name, weight in read_ensemble(heads).weights.items() if weight > 0]
    parents = [parent for name in members for parent in ENTRIES[name].parents]
    fitted = [name for name in parents if (heads / name / "head.json").is_file()]
    return list(dict.fromkeys([*members, *fitted]))


def _copy_heads(source: Path, names: list[str], target: Path) -> None:
    """Copy records and models; of the projections their axes, not the rows that they project."""
    for name in names:
        read_record(source / name)
        shutil.copytree(source / name, target / name)
    (target / "projections").mkdir()
    files = [source / "ensemble.json", *(source / "projections").glob("*.npz")]
    for file in files:
        shutil.copyfile(file, target / file.relative_to(source))


def _write_texts(folder: Path, heads: list[str], run: str) -> None:
    packages = [*PACKAGES, *(HEAD_PACKAGES[name] for name in heads if name in HEAD_PACKAGES)]
    pins = "".join(f"{name}=={version(name)}\n" for name in packages)
    (folder / "requirements.txt").write_text(pins, encoding="utf-8")
    text = TEMPLATE.read_text(encoding="utf-8").replace("RUN", run)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _manifest(
    checkpoint: Checkpoint, run: str, spaces: dict[str, Any], int8: bool, folder: Path
) -> dict[str, Any]:
    named = checkpoint.columns
    return {
        "run": run,
        "stamp": checkpoint.stamp,
        "int8": int8,
        "versions": {
            "memefuse": memefuse_version(),
            **{name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        },
        "columns": {
            "id": named["id"] or "id",
            "image": named["image"] or "img",
            "text": named["text"] or "text",
        },
        "spaces": spaces,
        "files": folder_checksums(folder),
    }
