"""The lexical space: character n-grams of captions, and the image embeddings of `pretrained`."""

from pathlib import Path
from typing import Any

import numpy as np

from extract.config import EMBEDDING_SETTINGS
from extract.data.load_data import LoadedData
from extract.data.ngrams import load_lexical, save_lexical
from extract.spaces.checkpoint import Checkpoint, space_remedy
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.run_setup import Setup
from extract.spaces.space_kind import LoadedSpace, SpaceKind
from extract.towers.device import Machine
from features.embedding_dtypes import from_stored, to_stored
from features.feature_table import Space
from features.space_files import copy_embeddings, read_width, writing_space

LEXICAL = "lexical"

NGRAMS = {"name": "character n-grams"}


def create_lexical_space(setup: Setup, name: str, folder: Path | None) -> dict[str, Any]:
    """Embed all captions and copy the pretrained space's image embeddings; write into `folder`."""
    origins = {"image": setup.backbones.image_origin, "text": NGRAMS}
    if folder is None:
        return {}
    lexical, source = setup.lexical_encoder, setup.folder / PRETRAINED / EMBEDDINGS
    dims = read_width(source, "image"), lexical.dim
    new_space = folder / EMBEDDINGS, len(setup.rows), *dims, False, setup.config.embedding_dtype
    with writing_space(*new_space) as space:
        copy_embeddings(source, "image", space)
        space.write("text", np.arange(len(setup.rows)), lexical.embed(setup.data.captions()))
        space.set_attributes(origins)
    save_lexical(lexical, folder)
    return {"origins": origins}


def load_ngrams(folder: Path, checkpoint: Checkpoint, machine: Machine) -> LoadedSpace:
    """Load the n-grams."""
    lexical = load_lexical(folder, space_remedy(folder))

    def embed(memes: LoadedData, spaces: dict[str, Space]) -> dict[str, np.ndarray]:
        text = to_stored(lexical.embed(memes.captions()), checkpoint.embedding_dtype, "text")
        return {"image": spaces[PRETRAINED].image, "text": from_stored(text)}

    return LoadedSpace(embed, None)


LEXICAL_KIND = SpaceKind(
    names=lambda config: [LEXICAL],
    owns=lambda name: name == LEXICAL,
    create=create_lexical_space,
    load=load_ngrams,
    depends_on=(*EMBEDDING_SETTINGS, "seed"),
    obstacle=lambda setup: None if setup.lexical_encoder else "no three captions share a word",
)
