"""The lexical space: character n-grams of captions beside the pretrained picture embedding."""

from pathlib import Path

import numpy as np

from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.ngrams import Lexical, save_lexical
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.setup import Setup
from features.hdf5_store import copy_image, read_image_width, writing_space

LEXICAL = "lexical"


def make_lexical(setup: Setup, lexical: Lexical, folder: Path | None) -> None:
    """What the captions' letters say, beside the pretrained image embedding."""
    if folder is None:
        return
    source = setup.folder / PRETRAINED / EMBEDDINGS
    about = {"image": setup.backbones.image_origin, "text": {"name": "character n-grams"}}
    dims = read_image_width(source), lexical.dim
    with writing_space(folder / EMBEDDINGS, len(setup.rows), *dims, joint=False) as space:
        copy_image(source, space)
        space.write("text", np.arange(len(setup.rows)), lexical.embed(setup.prepared.captions()))
        space.describe(about)
    save_lexical(lexical, folder)


def labelled_captions(setup: Setup) -> list[str]:
    captions = setup.prepared.captions()
    return [captions[row] for row in np.flatnonzero(setup.rows.labelled)]
