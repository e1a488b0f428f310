"""The pretrained space: embeddings of both towers as downloaded, without fine-tuning."""

from pathlib import Path
from typing import Any

import numpy as np

from extract.config import EMBEDDING_SETTINGS
from extract.data.load_data import LoadedData
from extract.spaces.checkpoint import Checkpoint
from extract.spaces.dump_embeddings import describe_towers, dump_embeddings
from extract.spaces.model_files import load_model
from extract.spaces.run_setup import Setup
from extract.spaces.space_kind import LoadedSpace, SpaceKind
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from extract.training.embedding import embed_in_memory
from features.feature_table import Space

PRETRAINED = "pretrained"

PRETRAINED_SIZE = 192
"""Side in pixels to which smaller pictures are enlarged for the pretrained image tower, which was
trained on pictures of 224 pixels."""


def create_pretrained_space(setup: Setup, name: str, folder: Path | None) -> dict[str, Any]:
    """Embed all rows with the towers as downloaded; write the space into `folder`."""
    image, text = setup.backbones.copy_encoders()
    image.min_size = PRETRAINED_SIZE
    model = JointModel(image, text, None, setup.machine)
    attributes = {**describe_towers(setup), "least_image_size": PRETRAINED_SIZE}
    dump_embeddings(setup, model, {}, attributes, folder)
    return {"least_image_size": PRETRAINED_SIZE}


def load_towers(folder: Path, checkpoint: Checkpoint, machine: Machine) -> LoadedSpace:
    """Load both towers, and the fusion head if there is one."""
    model = load_model(folder, checkpoint, machine)
    dtype = checkpoint.embedding_dtype

    def embed(memes: LoadedData, spaces: dict[str, Space]) -> dict[str, np.ndarray]:
        return embed_in_memory(model, memes.inputs.to_device(machine.device), dtype)

    return LoadedSpace(embed, model)


PRETRAINED_KIND = SpaceKind(
    names=lambda config: [PRETRAINED],
    owns=lambda name: name == PRETRAINED,
    create=create_pretrained_space,
    load=load_towers,
    depends_on=EMBEDDING_SETTINGS,
)
