"""Pictures that are decoded each time they are read, in the size that a tower wants."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from extract.data.image_decoding import Pictures, decode_file
from runtime.errors import UserError


@dataclass(frozen=True)
class PixelsOnDisk:
    """Like an array uint8 (P, 3, S, S), of which only what is indexed is in memory."""

    paths: list[str]
    """File of each distinct picture; empty for a grey picture."""
    size: int
    interpolation: str

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Decode pictures: uint8 (B, 3, S, S). Raises UserError for one that is gone or damaged."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = pool.map(self._decode, indices)
            return np.stack(list(decoded))

    def _decode(self, index: int) -> np.ndarray:
        path = self.paths[index]
        decoded = decode_file(path, self.size, self.interpolation)
        if decoded.fault:
            raise UserError(
                f"{path} could be decoded when the command began, and cannot now: {decoded.fault}. "
                "Leave the pictures where they are, for all machines to see, and run it again."
            )
        return decoded.pixels


def on_disk(pictures: Pictures, paths: list[str], size: int, interpolation: str) -> Pictures:
    """Return the same pictures in another size. `paths` has the picture file of each row (N)."""
    path_of_picture = [""] * len(pictures.digests)
    for picture, path in zip(pictures.index, paths, strict=True):
        path_of_picture[picture] = path
    return replace(pictures, pixels=PixelsOnDisk(path_of_picture, size, interpolation))
