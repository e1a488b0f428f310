"""Write a space's folder: embeddings.h5, and the weights of the model that embeds new memes."""

from pathlib import Path
from typing import Any

import numpy as np

from extract.data.batches import Inputs
from extract.spaces.model_files import save_model
from extract.spaces.run_setup import Setup
from extract.towers.joint_model import JointModel
from extract.training.embedding import embed
from features.space_files import SpaceWriter, writing_space

EMBEDDINGS = "embeddings.h5"


def dump_embeddings(
    setup: Setup,
    model: JointModel,
    roles: dict[str, np.ndarray],
    attributes: dict[str, Any],
    folder: Path | None,
) -> None:
    """Embed all rows with `model`; write embeddings.h5 and the model into `folder`.

    `roles` are boolean arrays (N,) to store as datasets: `seen`, the rows that the model was fitted
    on, and `monitored`, the validation rows on which its epoch was chosen. A rank without a folder
    only helps to embed.
    """
    if folder is None:
        embed_into(setup, model, setup.data.inputs, None)
        return
    joint = model.fusion is not None
    new_space = folder / EMBEDDINGS, len(setup.rows), model.image.dim, model.text.dim, joint
    with writing_space(*new_space, setup.config.embedding_dtype) as space:
        for name, rows in roles.items():
            space.write(name, np.arange(len(setup.rows)), rows)
        embed_into(setup, model, setup.data.inputs, space)
        space.set_attributes(attributes)
    save_model(model, folder)


def embed_into(setup: Setup, model: JointModel, inputs: Inputs, space: SpaceWriter | None) -> None:
    """Embed all rows and write them to `space`. A rank without a space only helps to embed."""
    compute = setup.embed_elsewhere or embed
    if space is None:
        compute(model, inputs, _discard, _unavailable)
    else:
        compute(model, inputs, space.write, space.read)


def _discard(name: str, rows: np.ndarray, values: np.ndarray) -> None:
    """Write nothing."""


def _unavailable(name: str, rows: slice) -> np.ndarray:
    raise AssertionError("a rank that writes no embeddings cannot read them")


def describe_towers(setup: Setup) -> dict[str, Any]:
    """Return the attributes of a space about its towers: origin, pooling, image size."""
    return {
        "image": setup.backbones.image_origin,
        "text": setup.backbones.text_origin,
        "image_pooling": "global average",
        "text_pooling": setup.config.text_pooling,
        "image_size": setup.config.image_size,
    }
