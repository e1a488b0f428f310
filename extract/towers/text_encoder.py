"""Text encoder: embeds tokens with a transformers model and pools its hidden states."""

from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from extract.towers.layouts.model_folder import find_tower, pooled_output

DEFAULT_MAX_TOKENS = 512
"""Longest caption, in tokens, of a model for which neither config.json nor its tokenizer say."""

LARGEST_LIMIT = 100_000
"""Larger limits in tokenizer_config.json mean that there is none: transformers writes 1e30."""


class TextEncoder(nn.Module):
    """Token ids and mask, int64 (B, L) each -> pooled embedding (B, dim).

    Pooling `mean` averages the hidden states of all tokens except padding, as
    sentence-transformers does; `max` takes their maximum; `first` takes the hidden state of the
    [CLS] token. `layers` joins the means of the first, middle and last layer: the first is a bag
    of words, in which words survive that the layers above do not understand. `projection` is the
    embedding that CLIP or SigLIP compares with those of pictures.

    `first+dense+normalize` and the like map what is pooled by modules of sentence-transformers.

    A caption has at most `max_tokens`; columns beyond, which are padding, are ignored. A model
    with a `fixed_length` (SigLIP) was trained on captions padded to it, without a mask.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        tokenizer: Tokenizer,
        pooling: str,
        prefix: str = "",
        tokenizer_config: dict[str, Any] | None = None,
        mapping: nn.Sequential | None = None,
    ) -> None:
        """Callers put `prefix` before each caption. `mapping` maps what is pooled, (B, width) to
        (B, dim). tokenizer_config.json may be omitted.

        Raises ValueError if the model has no such pooling.
        """
        super().__init__()
        config, tokenizer_config = backbone.config, tokenizer_config or {}
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.prefix = prefix
        self.mapping = mapping or nn.Sequential()
        self.layers = pooled_layers(config.num_hidden_layers, pooling)
        self.dim = config.hidden_size * len(self.layers)
        if pooling == "projection":
            self.dim = _projection_dim(backbone)
        for module in self.mapping:
            self.dim = module.linear.out_features if hasattr(module, "linear") else self.dim
        self.max_tokens = _max_tokens(backbone, tokenizer_config)
        self.pad_id = _pad_id(backbone, tokenizer, tokenizer_config)
        siglip = config.model_type.startswith("siglip")
        self.fixed_length: int | None = self.max_tokens if siglip else None

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        ids, mask = ids[:, : self.max_tokens], mask[:, : self.max_tokens]
        attended = mask
        if self.fixed_length is not None:
            missing = self.fixed_length - ids.shape[1]
            ids, mask = pad(ids, (0, missing), value=self.pad_id), pad(mask, (0, missing))
            attended = None
        joins_layers = len(self.layers) > 1
        output = self.backbone(
            input_ids=ids, attention_mask=attended, output_hidden_states=joins_layers
        )
        if self.pooling == "projection":
            return pooled_output(output)
        lower = [output.hidden_states[layer] for layer in self.layers[:-1]] if joins_layers else []
        # In CLIP and SigLIP, the last of hidden_states lacks the final norm.
        return self.mapping(self._pool([*lower, output.last_hidden_state], mask))

    def _pool(self, states: list[Tensor], mask: Tensor) -> Tensor:
        """Pool the hidden states of some layers, (B, L, width) each, to (B, dim)."""
        hidden = torch.stack([state.float() for state in states], dim=2)
        pooling = self.pooling.partition("+")[0]
        if pooling == "first":
            return hidden[:, 0].flatten(1)
        weight = mask.view(*mask.shape, 1, 1).float()
        if pooling == "max":
            return hidden.masked_fill(weight == 0, -torch.inf).amax(1).flatten(1)
        return ((hidden * weight).sum(1) / weight.sum(1)).flatten(1)


def pooled_layers(count: int, pooling: str) -> list[int]:
    """Return the hidden states that a pooling uses: 0 is the word embeddings, `count` the last."""
    return sorted({0, count // 2, count}) if pooling == "layers" else [count]


def _projection_dim(backbone: PreTrainedModel) -> int:
    config = backbone.config
    if find_tower(config, "text") is None:
        raise ValueError(f"{config.model_type} has no projection, only CLIP and SigLIP have")
    head = getattr(backbone, "text_projection", getattr(backbone, "head", None))
    return config.hidden_size if head is None else head.out_features


def _max_tokens(backbone: PreTrainedModel, tokenizer_config: dict[str, Any]) -> int:
    positions = getattr(backbone.config, "max_position_embeddings", None)
    if positions is None:
        # T5 has relative positions, so that only its training limits the length.
        limit = tokenizer_config.get("model_max_length", DEFAULT_MAX_TOKENS)
        return int(limit) if 1 <= limit <= LARGEST_LIMIT else DEFAULT_MAX_TOKENS
    # RoBERTa and its successors number positions from the one after that of padding.
    skipped = (
        module.padding_idx + 1
        for name, module in backbone.named_modules()
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None
    )
    return positions - next(skipped, 0)


def _pad_id(
    backbone: PreTrainedModel, tokenizer: Tokenizer, tokenizer_config: dict[str, Any]
) -> int:
    named = tokenizer_config.get("pad_token")
    token = named.get("content") if isinstance(named, dict) else named
    found = tokenizer.token_to_id(token) if token is not None else None
    own = backbone.config.pad_token_id
    # The configs of CLIP and SigLIP say 1, whatever their tokenizers use. RoBERTa needs its own.
    if found is not None and (own is None or find_tower(backbone.config, "text") is not None):
        return found
    return own or 0
