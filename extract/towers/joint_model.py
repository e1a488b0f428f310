"""The joint model: two towers, each in its own precision, and a fusion head if it is trained."""

import torch
from torch import Tensor, nn

from extract.towers.device import Machine
from extract.towers.encoders import ImageEncoder, TextEncoder


class JointModel(nn.Module):
    """Picture and caption -> logit of being hateful. Embeddings and fusion are float32.

    Without a fusion head (None), only embeddings can be computed; without one of the towers (None),
    only those of the other. `same_bits` remembers which small batches give the bits of full ones
    (extract/training/small_batches.py).
    """

    def __init__(
        self,
        image: ImageEncoder | None,
        text: TextEncoder | None,
        fusion: nn.Module | None,
        machine: Machine,
    ) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.fusion = fusion
        self.machine = machine
        self.same_bits: dict[str, frozenset[int] | None] = {}
        if image is not None:
            image.to(memory_format=torch.channels_last)
        self.to(machine.device)

    @property
    def towers(self) -> dict[str, ImageEncoder | TextEncoder | None]:
        """Both towers, by modality."""
        return {"image": self.image, "text": self.text}

    def embed_image(self, pixels: Tensor) -> Tensor:
        """Embed pixels, uint8 (B, 3, S, S), as float32 (B, image.dim)."""
        machine = self.machine
        dtype = machine.image_dtype if torch.is_grad_enabled() else machine.embedding_dtype
        with self._autocast(dtype):
            return self.image(pixels.to(self.machine.device, non_blocking=True)).float()

    def embed_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed token ids and their mask, int64 (B, L) each, as float32 (B, text.dim)."""
        device = self.machine.device
        with self._autocast(self.machine.text_dtype):
            return self.text(
                ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)
            ).float()

    @torch.no_grad()
    def cast_weights_for_inference(self) -> None:
        """Store weights of linear and convolution layers in the precision that embeds.

        Autocast would cast them in every pass, which is a fifth of the time for one meme. The
        embeddings have the same bits; the model cannot be trained any more.
        """
        dtypes = {"image": self.machine.embedding_dtype, "text": self.machine.text_dtype}
        for name, tower in self.towers.items():
            for layer in [] if tower is None else tower.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.to(dtypes[name])

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.fusion(self.embed_image(pixels), self.embed_text(ids, mask))

    def _autocast(self, dtype: torch.dtype) -> torch.amp.autocast:
        half = dtype != torch.float32
        return torch.amp.autocast(
            self.machine.device.type, dtype=dtype if half else None, enabled=half
        )
