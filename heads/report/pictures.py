"""Thumbnails as data URIs."""

import base64
import io
from pathlib import Path

from markupsafe import Markup
from PIL import Image, ImageOps

QUALITY = 70


def thumbnail(path: str, side: int) -> Markup | None:
    """The picture, at most `side` pixels wide and high, as a WebP data URI.

    None if the file is gone or Pillow cannot read it: the report is made long after the run, and
    tells what it can. The picture is encoded anew, so that nothing else in the file gets in.
    """
    if not path or not Path(path).is_file():
        return None
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            upright.thumbnail((side, side))
            flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            buffer = io.BytesIO()
            flat.convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    # Pillow's plug-ins raise whatever a damaged file makes them raise.
    except (OSError, ValueError, SyntaxError, ArithmeticError, Image.DecompressionBombError):
        return None
    return Markup("data:image/webp;base64,{}").format(base64.b64encode(buffer.getvalue()).decode())
