"""The backbones of one space on disk, to score new memes later without training data.

The two towers are folders as the hub lays them out, so they also serve as `--image-weights` and
`--text-weights`; checkpoint.json, written last, holds what belongs to both.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from extract.towers.device import Machine
from extract.towers.encoders import (
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from runtime.errors import damage_named
from runtime.file_checksums import check_digests
from runtime.json_files import read_dataclass, write_json


@dataclass(frozen=True)
class Checkpoint:
    """What it takes, besides weights, to embed a meme as it was done for features.h5."""

    stamp: str
    """Identity of the extraction; features.h5 has the same."""
    fusion: str | None
    """None for a space whose backbones were not fine-tuned."""
    text_pooling: str
    image_size: int
    least_image_size: int
    """Smaller pictures are enlarged to it by the image tower."""
    max_tokens: int
    precision: str
    columns: dict[str, str | None]
    """The columns that flags named, for tables to be scored later."""
    seconds: float
    """Time it took to make the space."""
    machine: str
    """What it was made on, `Machine.describe`: others round differently."""
    files: dict[str, str]
    """Checksums of the other files of the folder, as `runtime.file_checksums` takes them."""


def remake(folder: Path) -> str:
    """What to do about a space that is damaged: extract makes those anew that are not there."""
    return f"Delete {folder} and run, with the flags of before: python pipeline.py extract"


def save_model(model: JointModel, folder: Path) -> None:
    """Write both towers, and the fusion head if there is one, into `folder`."""
    (folder / "image").mkdir()
    save_image_encoder(model.image, folder / "image")
    save_text_encoder(model.text, folder / "text")
    if model.fusion is not None:
        fusion = {name: value.contiguous() for name, value in model.fusion.state_dict().items()}
        save_file(fusion, folder / "fusion.safetensors")


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write checkpoint.json, which says that the folder is whole."""
    write_json(folder / "checkpoint.json", asdict(checkpoint))


def holds_checkpoint(folder: Path, stamp: str) -> bool:
    """Whether `folder` is a whole space of the extraction called `stamp`."""
    return (folder / "checkpoint.json").is_file() and read_checkpoint(folder).stamp == stamp


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read checkpoint.json. Raises UserError if the folder has none."""
    return read_dataclass(Checkpoint, folder / "checkpoint.json", remake(folder))


def check_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Raise UserError if a file that embeds memes is missing or not what it was."""
    check_digests(folder, checkpoint.files, remake(folder))


def load_model(folder: Path, checkpoint: Checkpoint, machine: Machine) -> JointModel:
    """Rebuild the model of a space."""
    image = load_image_encoder(folder / "image")
    image.least_size = checkpoint.least_image_size
    text = load_text_encoder(folder / "text", checkpoint.text_pooling)
    fusion = None
    if checkpoint.fusion is not None:
        fusion = FUSIONS[checkpoint.fusion](image.dim, text.dim)
        path = folder / "fusion.safetensors"
        with damage_named(path, remake(folder)):
            fusion.load_state_dict(load_file(path))
    return JointModel(image, text, fusion, machine)
