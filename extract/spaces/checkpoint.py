"""Save and load checkpoint.json: how the models of one space embed a meme, and their checksums.

It is written last, and so marks a complete space. The models are in `model_files`.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from features.embedding_dtypes import FLOAT32
from runtime.errors import UserError
from runtime.files.file_checksums import verify_checksums
from runtime.files.json_files import read_dataclass, write_json


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
    """Checksums of the other files in the folder, from `runtime.files.file_checksums`."""
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the `image` and the `text` embeddings: name, revision and whatever else determines them.
    Empty in runs of older versions."""
    read_captions: bool = False
    """Whether absent captions are read off their pictures."""
    embedding_dtype: str = FLOAT32
    """Type in which features.h5 stores embeddings, to which those of new memes are rounded."""


def space_remedy(folder: Path) -> str:
    """Return what to do about a damaged space: `extract` creates missing spaces again."""
    return f"Delete {folder} and run, with the same flags: python pipeline.py extract"


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write checkpoint.json, which marks the folder as complete."""
    write_json(folder / "checkpoint.json", asdict(checkpoint))


def holds_checkpoint(folder: Path, stamp: str) -> bool:
    """Return whether `folder` is a complete space of the extraction `stamp`."""
    return (folder / "checkpoint.json").is_file() and read_checkpoint(folder).stamp == stamp


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read checkpoint.json. Raises UserError if it is missing or damaged."""
    return read_dataclass(Checkpoint, folder / "checkpoint.json", space_remedy(folder))


def names_of_spaces(backbones: Path) -> list[str]:
    """Return the names of a run's spaces, in no order. Raises UserError if there are none."""
    names = [folder.name for folder in backbones.glob("*") if not folder.name.startswith(".")]
    if not names:
        raise UserError(f"{backbones} has no backbones. Run first: python pipeline.py extract")
    return names


def any_checkpoint(backbones: Path) -> Checkpoint:
    """Return a checkpoint, for what all spaces of a run share: stamp, columns, data settings."""
    return read_checkpoint(backbones / min(names_of_spaces(backbones)))


def verify_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Raise UserError if a file that embeds memes is missing or its content changed."""
    verify_checksums(folder, checkpoint.files, space_remedy(folder))
