"""Where stage one computes, and in which precision each tower does."""

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
    """While gradients are computed."""
    text_dtype: torch.dtype
    embedding_dtype: torch.dtype
    """Of the image tower, while none are."""

    def scales_gradients(self) -> bool:
        """float16 gradients underflow without a GradScaler; bfloat16 ones do not."""
        return torch.float16 in (self.image_dtype, self.text_dtype)

    def describe(self) -> str:
        """One line for the log."""
        names = {dtype: name for name, dtype in DTYPES.items()}
        image, text = names[self.image_dtype], names[self.text_dtype]
        if self.embedding_dtype != self.image_dtype:
            image += f" (embedding {names[self.embedding_dtype]})"
        return f"{self.device}, image tower {image}, text tower {text}"


def choose_machine(device: str, precision: str) -> Machine:
    """Resolve `auto`. Raises UserError for a device that is not there or a precision it lacks.

    On a CPU, bf16 pays where the chip has bf16 dot products, but for training the image tower,
    whose convolution backward is slower in bf16 than in fp32.
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
        # Of several processes on a machine, each has a GPU of its own.
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else CPU
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}. Try --device auto") from error
    return device
