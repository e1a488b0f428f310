"""The device of stage one, and the precision (autocast dtype) of each tower."""

import os
from dataclasses import dataclass

import torch

from runtime.errors import UserError
from runtime.processes import local_rank

CPU = torch.device("cpu")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """A device and the autocast dtype of each tower; float32 means no autocast."""

    device: torch.device
    image_dtype: torch.dtype
    """Of the image tower in training."""
    text_dtype: torch.dtype
    embedding_dtype: torch.dtype
    """Of the image tower in inference."""

    def scales_gradients(self) -> bool:
        """Return whether a GradScaler is needed: only float16 gradients underflow."""
        return torch.float16 in (self.image_dtype, self.text_dtype)

    def describe(self) -> str:
        """Return one line for the log: the device, and the precision of each tower."""
        names = {dtype: name for name, dtype in DTYPES.items()}
        image, text = names[self.image_dtype], names[self.text_dtype]
        if self.embedding_dtype != self.image_dtype:
            image += f" (embedding {names[self.embedding_dtype]})"
        return f"{self.device}, image tower {image}, text tower {text}"


def choose_machine(device: str, precision: str) -> Machine:
    """Resolve `auto` to a device and a precision for each tower.

    On a CPU with bf16 dot products, `auto` uses bf16 except for training the image tower: the
    backward pass of convolutions is slower in bf16 than in fp32. Raises UserError if the device
    does not exist or lacks the precision.
    """
    chosen = _device(device)
    if chosen.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if precision != "auto":
        if precision == "fp16" and chosen.type == "cpu":
            raise UserError("--precision fp16 needs a GPU. On a CPU, allowed: auto, fp32, bf16")
        return Machine(chosen, *[DTYPES[precision]] * 3)
    if chosen.type == "cuda":
        dtype = (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float16
        )
        return Machine(chosen, dtype, dtype, dtype)
    if chosen.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return Machine(chosen, torch.float32, torch.bfloat16, torch.bfloat16)
    return Machine(chosen, *[torch.float32] * 3)


def _device(name: str) -> torch.device:
    if name == "auto":
        # Each process on a machine uses its own GPU.
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else CPU
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}. Try --device auto") from error
    return device
