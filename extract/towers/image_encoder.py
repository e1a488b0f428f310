"""Image encoder: normalises pictures, resizes them if necessary, and embeds them."""

from typing import Any, Self

import torch
from timm.data import resolve_data_config
from timm.models import get_model_input_config
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel

from extract.towers.layouts.model_folder import pooled_output


class ImageEncoder(nn.Module):
    """uint8 pixels (B, 3, S, S) -> pooled embedding (B, dim).

    The encoder normalises pixels itself, so that they are stored and moved as bytes. If the model
    has a `fixed_size`, pictures are resized to its `input_size`. Otherwise, pictures smaller than
    `min_size` pixels are enlarged to that size.
    """

    def __init__(self, backbone: nn.Module, data_config: dict[str, Any] | None = None) -> None:
        """`data_config` has mean, std, interpolation, input_size and fixed_input_size, as in timm.

        A timm backbone knows its own. Its classifier, if it has one, is a projection.
        """
        super().__init__()
        self.backbone = backbone
        self.data_config = data_config or _timm_data_config(backbone)
        self.interpolation: str = self.data_config["interpolation"]
        self.input_size: int = self.data_config["input_size"][-1]
        self.fixed_size: bool = self.data_config["fixed_input_size"]
        self.dim = _embedding_dim(backbone)
        self.min_size = 0
        for name in ("mean", "std"):
            value = torch.tensor(self.data_config[name]).view(1, 3, 1, 1) * 255
            self.register_buffer(name, value, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Keep batch statistics as downloaded: those of 32 small pictures are poor estimates."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        normalised = (pixels.float() - self.mean) / self.std
        size = self.input_size if self.fixed_size else max(self.min_size, pixels.shape[-1])
        if pixels.shape[-1] != size:
            normalised = interpolate(normalised, size=size, mode="bicubic", antialias=True)
        return self.embed(normalised)

    def embed(self, normalised: Tensor) -> Tensor:
        """Embed pictures that are normalised and of the right size: float (B, dim)."""
        output = self.backbone(normalised.contiguous(memory_format=torch.channels_last))
        return output if isinstance(output, Tensor) else pooled_output(output)


def _timm_data_config(backbone: nn.Module) -> dict[str, Any]:
    # The input of the model as it is, also if it was created for another size than its weights.
    given = get_model_input_config(backbone)
    # With dynamic positions, a ViT takes other sizes, but only multiples of its patches.
    fixed = given["fixed_input_size"] or getattr(backbone, "dynamic_img_size", False)
    return {
        **resolve_data_config(model=backbone),
        "input_size": given["input_size"],
        "fixed_input_size": fixed,
    }


def _embedding_dim(backbone: nn.Module) -> int:
    if not isinstance(backbone, PreTrainedModel):
        # In MobileNets, the head has a layer of its own, wider than the features.
        return backbone.num_classes or getattr(backbone, "head_hidden_size", backbone.num_features)
    projection = getattr(backbone, "visual_projection", None)
    return projection.out_features if projection else backbone.config.hidden_size
