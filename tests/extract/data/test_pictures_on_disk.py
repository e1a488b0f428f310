"""Pictures that are decoded when a tower wants them."""

import numpy as np
import pytest
from PIL import Image

from extract.data.pictures_on_disk import PixelsOnDisk
from runtime.errors import UserError
from runtime.picture_opening import GREY


def test_picture_that_is_gone_is_not_taken_for_a_grey_one(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4), "red").save(path)
    pixels = PixelsOnDisk([str(path), ""], 2, "bicubic")
    assert pixels[np.array([0, 1])][..., 0, 0].tolist() == [[255, 0, 0], [GREY] * 3]
    path.unlink()
    with pytest.raises(UserError, match=r"a\.png could be decoded when the command began"):
        pixels[np.array([0])]
