"""Spaces of `--frozen`: a text model, an image model or a CLIP pair, as published.

The embeddings of the modality that such a model lacks are those of the pretrained space, so that
each space describes whole memes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from extract.config import EMBEDDING_SETTINGS
from extract.data.batches import Inputs
from extract.data.load_data import LoadedData
from extract.data.pictures_on_disk import on_disk
from extract.data.tokenisation import tokenise
from extract.frozen_sources import FrozenSource, is_frozen_space, parse_frozen
from extract.spaces.checkpoint import Checkpoint
from extract.spaces.dump_embeddings import EMBEDDINGS, embed_into
from extract.spaces.model_files import load_model, save_model
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.run_setup import Setup
from extract.spaces.space_kind import LoadedSpace, SpaceKind
from extract.towers.device import Machine
from extract.towers.encoders import (
    ImageEncoder,
    TextEncoder,
    load_image_encoder,
    load_text_encoder,
)
from extract.towers.joint_model import JointModel
from extract.training.embedding import embed_in_memory
from features.feature_table import Space
from features.space_files import copy_embeddings, read_width, writing_space


def create_frozen_space(setup: Setup, name: str, folder: Path | None) -> dict[str, Any]:
    """Embed all rows with the model of a `--frozen` flag; write the space into `folder`."""
    source, path, origin = setup.frozen[name]
    image, text = load_frozen_towers(source, path)
    model = JointModel(image, text, None, setup.machine)
    inputs = _inputs(setup.data, model, setup.config.max_tokens)
    if folder is None:
        embed_into(setup, model, inputs, None)
        return {}
    origins = _origins(setup, model, origin)
    pretrained = setup.folder / PRETRAINED / EMBEDDINGS
    dims = [
        tower.dim if tower else read_width(pretrained, modality)
        for modality, tower in model.towers.items()
    ]
    new_space = folder / EMBEDDINGS, len(setup.rows), *dims, False, setup.config.embedding_dtype
    with writing_space(*new_space) as space:
        embed_into(setup, model, inputs, space)
        for modality, tower in model.towers.items():
            if tower is None:
                copy_embeddings(pretrained, modality, space)
        space.set_attributes({**origins, "shared_coordinates": source.modality == "clip"})
    save_model(model, folder)
    return {"origins": origins, "text_pooling": text.pooling if text else None}


def load_frozen_towers(
    source: FrozenSource, folder: Path
) -> tuple[ImageEncoder | None, TextEncoder | None]:
    """Load the image and the text tower of a flag; None for the one that it does not name."""
    image = load_image_encoder(folder) if source.modality != "text" else None
    text = load_text_encoder(folder, source.pooling) if source.modality != "image" else None
    return image, text


def load_frozen(folder: Path, checkpoint: Checkpoint, machine: Machine) -> LoadedSpace:
    """Load the towers of a space. What they lack is taken from the pretrained space."""
    model = load_model(folder, checkpoint, machine)

    def embed(memes: LoadedData, spaces: dict[str, Space]) -> dict[str, np.ndarray]:
        pretrained = spaces[PRETRAINED]
        inputs = _inputs(memes, model, checkpoint.max_tokens)
        made = embed_in_memory(model, inputs, checkpoint.embedding_dtype)
        return {"image": pretrained.image, "text": pretrained.text, **made}

    return LoadedSpace(embed, model)


def _inputs(memes: LoadedData, model: JointModel, max_tokens: int) -> Inputs:
    """Return pictures in the size and captions in the tokens of the model's towers."""
    inputs = memes.inputs
    if model.image is not None:
        paths = memes.table.rows["image"].tolist()
        size, interpolation = model.image.input_size, model.image.interpolation
        pictures = on_disk(inputs.pictures, paths, size, interpolation)
        inputs = replace(inputs, pictures=pictures, gpu_pixels=None)
    if (text := model.text) is not None:
        captions = [text.prefix + caption for caption in memes.captions()]
        limit = min(max_tokens, text.max_tokens)
        inputs = replace(inputs, captions=tokenise(captions, text.tokenizer, limit, text.pad_id))
    return inputs


def _origins(setup: Setup, model: JointModel, origin: dict[str, str]) -> dict[str, Any]:
    """Return name, revision and settings of both towers."""
    origins = {"image": setup.backbones.image_origin, "text": setup.backbones.text_origin}
    if model.image is not None:
        origins["image"] = {**origin, "size": model.image.input_size}
    if model.text is not None:
        origins["text"] = {**origin, "pooling": model.text.pooling, "prefix": model.text.prefix}
    return origins


FROZEN_KIND = SpaceKind(
    names=lambda config: [source.name for source in parse_frozen(config.frozen)],
    owns=is_frozen_space,
    create=create_frozen_space,
    load=load_frozen,
    depends_on=EMBEDDING_SETTINGS,
)
