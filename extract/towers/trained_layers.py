"""Which layers of an encoder are trained, and at what learning rate."""

import re

from timm.models._manipulate import group_with_matcher
from torch import nn

from runtime.errors import UserError, quoted

AFTER_BLOCKS = "name that matches no group of a timm model"


def set_trained_layers(encoder: nn.Module, tune: str, flag: str) -> None:
    """Set `requires_grad` of every parameter of an ImageEncoder or TextEncoder.

    `tune` is "all", "none" or "last:N": the last N blocks and what follows them, such as the final
    norm and a projection, but no embeddings. Blocks are the layers of a transformer and the stages
    of a convolutional network. Raises UserError, which names `flag`, unless N is between 1 and
    their number.
    """
    if tune in ("all", "none"):
        encoder.requires_grad_(tune == "all")
        return
    is_timm = hasattr(encoder.backbone, "group_matcher")
    depths, count = (_timm_depths if is_timm else _transformer_depths)(encoder.backbone)
    match = re.fullmatch(r"last:(\d{1,9})", tune)
    if not match or not 1 <= int(match[1]) <= count:
        allowed = f"all, none, and last:N with N from 1 to {count}" if count else "all and none"
        raise UserError(
            f"{flag}: found {quoted(tune)}, but {type(encoder.backbone).__name__} has {count} "
            f"blocks. Allowed are {allowed}. Choose one of these."
        )
    for name, parameter in encoder.backbone.named_parameters():
        parameter.requires_grad_(depths[name] > count - int(match[1]))


def default_learning_rate(encoder: nn.Module) -> float:
    """Return a learning rate for fine-tuning: larger models diverge at the rate of small ones."""
    size = sum(parameter.numel() for parameter in encoder.parameters())
    if size < 150_000_000:
        return 5e-5
    return 2e-5 if size < 500_000_000 else 1e-5


def _timm_depths(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Map parameters to depths, as `_transformer_depths` does."""
    names = [name for name, _ in backbone.named_parameters()]
    # timm counts groups from the stem (0); the name that matches none comes after all blocks.
    groups = group_with_matcher(
        ((name, None) for name in (*names, AFTER_BLOCKS)),
        backbone.group_matcher(coarse=True),
        reverse=True,
    )
    return groups, groups[AFTER_BLOCKS] - 1


def _transformer_depths(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Map parameters to depths, and return the number of blocks.

    The depth is 0 for embeddings and all else before the blocks, then the number of the block from
    1, and larger after the blocks.
    """
    lists = _outermost_lists(backbone)
    count = max(map(len, lists.values()), default=0)
    # In XLM, a block is spread over several lists.
    blocks = [name for name, layers in lists.items() if len(layers) == count]
    embeddings = {
        f"{name}.weight"
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Embedding)
    }
    depths, following = {}, 0
    for name, _ in backbone.named_parameters():
        block = next((block for block in blocks if name.startswith(f"{block}.")), None)
        if block is not None:
            following = count + 1
            depths[name] = int(name.removeprefix(f"{block}.").split(".")[0]) + 1
        else:
            depths[name] = 0 if name in embeddings else following
    return depths, count


def _outermost_lists(backbone: nn.Module) -> dict[str, nn.ModuleList]:
    """Return the lists of modules, by name, that are in no other list."""
    outermost: dict[str, nn.ModuleList] = {}
    for name, module in backbone.named_modules():
        nested = any(name.startswith(f"{outer}.") for outer in outermost)
        if isinstance(module, nn.ModuleList) and not nested:
            outermost[name] = module
    return outermost
