"""The lexical space: character n-grams of captions, and the image embeddings of `pretrained`."""

from pathlib import Path

import numpy as np

from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.ngrams import LexicalEncoder, save_lexical
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.run_setup import Setup
from features.hdf5_store import copy_image_embeddings, read_image_width, writing_space

LEXICAL = "lexical"


def create_lexical_space(setup: Setup, lexical: LexicalEncoder, folder: Path | None) -> None:
    """Embed all captions and copy the pretrained space's image embeddings; write into `folder`."""
    if folder is None:
        return
    source = setup.folder / PRETRAINED / EMBEDDINGS
    attributes = {"image": setup.backbones.image_origin, "text": {"name": "character n-grams"}}
    dims = read_image_width(source), lexical.dim
    with writing_space(folder / EMBEDDINGS, len(setup.rows), *dims, joint=False) as space:
        copy_image_embeddings(source, space)
        space.write("text", np.arange(len(setup.rows)), lexical.embed(setup.data.captions()))
        space.set_attributes(attributes)
    save_lexical(lexical, folder)


def labelled_captions(setup: Setup) -> list[str]:
    """Return the captions of train and val rows, the only ones that the encoder is fitted on."""
    captions = setup.data.captions()
    return [captions[row] for row in np.flatnonzero(setup.rows.labelled)]
