"""Save and load the models of one space, so that new memes are scored without the training data.

The two towers are folders in the layout of the hub, so they also serve as `--image-weights` and
`--text-weights`. checkpoint.json has the settings of both, and is written last.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from runtime.errors import user_error_if_damaged
from runtime.file_checksums import verify_checksums
from runtime.json_files import read_dataclass, write_json


@dataclass(frozen=True)
class Checkpoint:
    """Everything except weights that is needed to embed a meme as for features.h5."""

    stamp: str
    """Identity of the extraction; features.h5 has the same."""
    fusion: str | None
    """None if the backbones were not fine-tuned."""
    text_pooling: str | None
    """None if the space has no text tower of its own."""
    image_size: int
    least_image_size: int
    """The image tower enlarges smaller pictures to this size, in pixels."""
    max_tokens: int
    precision: str
    columns: dict[str, str | None]
    """The columns named by flags, to read tables that are scored later."""
    seconds: float
    """Time it took to create the space."""
    machine: str
    """`Machine.describe` of where the space was created: other machines round differently."""
    files: dict[str, str]
    """Checksums of the other files in the folder, from `runtime.file_checksums`."""
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the `image` and the `text` embeddings: name, revision and whatever else determines them.
    Empty in runs of older versions."""
    read_captions: bool = False
    """Whether absent captions are read off their pictures."""


def space_remedy(folder: Path) -> str:
    """Return what to do about a damaged space: `extract` creates missing spaces again."""
    return f"Delete {folder} and run, with the same flags: python pipeline.py extract"


def save_model(model: JointModel, folder: Path) -> None:
    """Write the towers and the fusion head, as far as the model has them, into `folder`."""
    if model.image is not None:
        (folder / "image").mkdir()
        save_image_encoder(model.image, folder / "image")
    if model.text is not None:
        save_text_encoder(model.text, folder / "text")
    if model.fusion is not None:
        fusion = {name: value.contiguous() for name, value in model.fusion.state_dict().items()}
        save_file(fusion, folder / "fusion.safetensors")


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write checkpoint.json, which marks the folder as complete."""
    write_json(folder / "checkpoint.json", asdict(checkpoint))


def holds_checkpoint(folder: Path, stamp: str) -> bool:
    """Return whether `folder` is a complete space of the extraction `stamp`."""
    return (folder / "checkpoint.json").is_file() and read_checkpoint(folder).stamp == stamp


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read checkpoint.json. Raises UserError if it is missing or damaged."""
    return read_dataclass(Checkpoint, folder / "checkpoint.json", space_remedy(folder))


def verify_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Raise UserError if a file that embeds memes is missing or its content changed."""
    verify_checksums(folder, checkpoint.files, space_remedy(folder))


def load_model(folder: Path, checkpoint: Checkpoint, machine: Machine) -> JointModel:
    """Load the model of a space to embed memes. Its files were verified.

    Raises UserError for a damaged one.
    """
    image = text = fusion = None
    if (folder / "image").is_dir():
        image = load_image_encoder(folder / "image")
        image.min_size = checkpoint.least_image_size
    if (folder / "text").is_dir():
        text = load_text_encoder(folder / "text", checkpoint.text_pooling)
    if checkpoint.fusion is not None:
        fusion = FUSIONS[checkpoint.fusion](image.dim, text.dim)
        path = folder / "fusion.safetensors"
        with user_error_if_damaged(path, space_remedy(folder)):
            fusion.load_state_dict(load_file(path))
    model = JointModel(image, text, fusion, machine)
    model.cast_weights_for_inference()
    return model.eval()
