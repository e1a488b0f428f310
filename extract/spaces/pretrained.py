"""The pretrained space: both towers as downloaded."""

import copy
from pathlib import Path

from extract.spaces.dump_embeddings import describe_towers, dump_embeddings
from extract.spaces.setup import Setup
from extract.towers.joint_model import JointModel

PRETRAINED = "pretrained"

PRETRAINED_SIZE = 192
"""Side in pixels to which smaller pictures are enlarged for the pretrained image tower, which
knows pictures of 224."""


def make_pretrained(setup: Setup, folder: Path | None) -> None:
    """Both towers as downloaded: no row is seen, at the price of one pass over the memes."""
    image, text = copy.deepcopy(setup.backbones.image), copy.deepcopy(setup.backbones.text)
    image.least_size = PRETRAINED_SIZE
    model = JointModel(image, text, None, setup.machine)
    dump_embeddings(
        setup, model, {}, {**describe_towers(setup), "least_image_size": PRETRAINED_SIZE}, folder
    )
