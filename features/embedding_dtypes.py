"""Types in which embeddings are stored. Everything is computed with float32."""

import numpy as np

from runtime.errors import UserError

FLOAT32, FLOAT16 = EMBEDDING_DTYPES = ("float32", "float16")


def to_stored(values: np.ndarray, dtype: object, name: str) -> np.ndarray:
    """Convert values of dataset `name` to the type in which it is stored.

    Raises UserError for a finite value that would become infinite.
    """
    with np.errstate(over="ignore"):
        stored = np.asarray(values).astype(dtype)
    if stored.dtype == FLOAT16 and (np.isinf(stored) & np.isfinite(values)).any():
        largest = float(np.nanmax(np.abs(values)))
        raise UserError(
            f"{name} embeddings: found {largest:.6g}, allowed in float16: up to "
            f"{np.finfo(np.float16).max:,.0f}. Run extract with --embedding-dtype float32."
        )
    return stored


def from_stored(values: np.ndarray) -> np.ndarray:
    """Return values that were stored; float16 as float32."""
    return values.astype(np.float32) if values.dtype == FLOAT16 else values
