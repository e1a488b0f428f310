"""Save and load the models of one space, so that new memes are scored without the training data.

The two towers are folders in the layout of the hub, so they also serve as `--image-weights` and
`--text-weights`.
"""

from pathlib import Path

from safetensors.torch import load_file, save_file

from extract.spaces.checkpoint import Checkpoint, space_remedy
from extract.towers.device import Machine
from extract.towers.encoders import (
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from runtime.errors import user_error_if_damaged


def save_model(model: JointModel, folder: Path) -> None:
    """Write the towers and the fusion head, as far as the model has them, into `folder`."""
    if model.image is not None:
        (folder / "image").mkdir()
        save_image_encoder(model.image, folder / "image")
    if model.text is not None:
        save_text_encoder(model.text, folder / "text")
    if model.fusion is not None:
        fusion = {name: value.contiguous() for name, value in model.fusion.state_dict().items()}
        save_file(fusion, folder / "fusion.safetensors")


def load_model(folder: Path, checkpoint: Checkpoint, machine: Machine) -> JointModel:
    """Load the model of a space to embed memes. Its files were verified, and its towers
    were tried out when it was made.

    Raises UserError for a damaged one.
    """
    image = text = fusion = None
    if (folder / "image").is_dir():
        image = load_image_encoder(folder / "image", try_out=False)
        image.min_size = checkpoint.least_image_size
    if (folder / "text").is_dir():
        text = load_text_encoder(folder / "text", checkpoint.text_pooling, try_out=False)
    if checkpoint.fusion is not None:
        fusion = FUSIONS[checkpoint.fusion](image.dim, text.dim)
        path = folder / "fusion.safetensors"
        with user_error_if_damaged(path, space_remedy(folder)):
            fusion.load_state_dict(load_file(path))
    model = JointModel(image, text, fusion, machine)
    model.cast_weights_for_inference()
    return model.eval()
