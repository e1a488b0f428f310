"""The fine-tuned backbones of one space on disk, to score new memes later without training data.

The two towers are folders as the hub lays them out, so they also serve as `--image-weights` and
`--text-weights`; checkpoint.json, written last, holds what belongs to both.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from extract.device import Machine
from extract.encoders import (
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.fusion import FUSIONS
from extract.model import JointModel
from features.files import read_json, replacing_folder, write_json
from features.settings import from_dict


@dataclass(frozen=True)
class Checkpoint:
    """What it takes, besides weights, to embed a meme as it was done for features.h5."""

    stamp: str
    """Identity of the extraction; features.h5 has the same."""
    fusion: str
    text_pooling: str
    image_size: int
    max_tokens: int
    precision: str
    columns: dict[str, str | None]
    """The columns that flags named, for tables to be scored later."""


def save_checkpoint(model: JointModel, checkpoint: Checkpoint, folder: Path) -> None:
    """Write beside, then put in the place of what `folder` held."""
    with replacing_folder(folder) as partial:
        (partial / "image").mkdir()
        save_image_encoder(model.image, partial / "image")
        save_text_encoder(model.text, partial / "text")
        fusion = {name: value.contiguous() for name, value in model.fusion.state_dict().items()}
        save_file(fusion, partial / "fusion.safetensors")
        write_json(partial / "checkpoint.json", asdict(checkpoint))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read checkpoint.json. Raises UserError if the folder has none."""
    return from_dict(Checkpoint, read_json(folder / "checkpoint.json", "extract"))


def load_checkpoint(folder: Path, checkpoint: Checkpoint, machine: Machine) -> JointModel:
    """Rebuild the joint model of a space."""
    image = load_image_encoder(folder / "image")
    text = load_text_encoder(folder / "text", checkpoint.text_pooling)
    fusion = FUSIONS[checkpoint.fusion](image.dim, text.dim)
    fusion.load_state_dict(load_file(folder / "fusion.safetensors"))
    return JointModel(image, text, fusion, machine)
