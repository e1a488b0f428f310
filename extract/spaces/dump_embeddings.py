"""One model -> a space's folder: embeddings.h5 and the weights that embed new memes."""

from pathlib import Path
from typing import Any

import numpy as np

from extract.spaces.checkpoint import save_model
from extract.spaces.embedding import embed
from extract.spaces.setup import Setup
from extract.towers.joint_model import JointModel
from features.hdf5_store import writing_space

EMBEDDINGS = "embeddings.h5"


def dump_embeddings(
    setup: Setup,
    model: JointModel,
    roles: dict[str, np.ndarray],
    about: dict[str, Any],
    folder: Path | None,
) -> None:
    """Write embeddings.h5 and the model; where there is no folder, only help to embed."""
    if folder is None:
        embed(model, setup.prepared.inputs, _nowhere, _nothing)
        return
    dims, joint = (model.image.dim, model.text.dim), model.fusion is not None
    with writing_space(folder / EMBEDDINGS, len(setup.rows), *dims, joint) as space:
        for name, rows in roles.items():
            space.write(name, np.arange(len(setup.rows)), rows)
        embed(model, setup.prepared.inputs, space.write, space.read)
        space.describe(about)
    save_model(model, folder)


def _nowhere(name: str, rows: np.ndarray, values: np.ndarray) -> None:
    """Write nothing."""


def _nothing(name: str, rows: slice) -> np.ndarray:
    raise AssertionError("what was written nowhere is not read back")


def describe_towers(setup: Setup) -> dict[str, Any]:
    return {
        "image": setup.backbones.image_origin,
        "text": setup.backbones.text_origin,
        "image_pooling": "global average",
        "text_pooling": setup.config.text_pooling,
        "image_size": setup.config.image_size,
    }
