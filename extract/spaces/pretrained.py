"""The pretrained space: embeddings of both towers as downloaded, without fine-tuning."""

from pathlib import Path

from extract.spaces.dump_embeddings import describe_towers, dump_embeddings
from extract.spaces.run_setup import Setup
from extract.towers.joint_model import JointModel

PRETRAINED = "pretrained"

PRETRAINED_SIZE = 192
"""Side in pixels to which smaller pictures are enlarged for the pretrained image tower, which was
trained on pictures of 224 pixels."""


def create_pretrained_space(setup: Setup, folder: Path | None) -> None:
    """Embed all rows with the towers as downloaded; write the space into `folder`."""
    image, text = setup.backbones.copy_encoders()
    image.min_size = PRETRAINED_SIZE
    model = JointModel(image, text, None, setup.machine)
    attributes = {**describe_towers(setup), "least_image_size": PRETRAINED_SIZE}
    dump_embeddings(setup, model, {}, attributes, folder)
