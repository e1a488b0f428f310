"""Products of the leading columns of both modalities: what no sum of the two can express."""

import numpy as np


def leading(X: np.ndarray, image_width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` image and text columns of X: (N, up to count) twice."""
    return X[:, : min(image_width, count)], X[:, image_width : image_width + count]


def products(X: np.ndarray, image_width: int, count: int) -> np.ndarray:
    """Every leading image column times every leading text column: (N, up to count**2)."""
    image, text = leading(X, image_width, count)
    return (image[:, :, None] * text[:, None, :]).reshape(len(X), -1)
