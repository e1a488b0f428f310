"""Read open_clip_config.json; refuse by name what neither transformers nor timm has.

The settings and their defaults are those of open_clip 3.3.0 (model.py, transformer.py).
"""

from pathlib import Path
from typing import Any, NoReturn

from extract.towers.layouts.model_folder import read_settings, require_files
from runtime.errors import UserError

CONFIG = "open_clip_config.json"

WEIGHTS = "open_clip_model.safetensors"

PAIR = (
    *("embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text"),
    *("init_logit_scale", "init_logit_bias", "nonscalar_logit_scale"),
)
"""Settings of a pair that are converted, or that do not change embeddings."""

DEFAULTS = {
    "pool_type": ("tok", "argmax"),
    "pos_embed_type": ("learnable",),
    "proj_type": ("linear",),
    "block_type": ("default",),
}
"""Values of other settings that are not refused. All may also be off: null, false or 0."""

GELU = {None: "gelu", "none": "gelu", "tanh": "gelu_pytorch_tanh"}
"""The argument `approximate` of torch's GELU -> the activation's name in transformers."""


def is_open_clip(folder: Path) -> bool:
    """Return whether a folder has open_clip's layout, and not transformers' as well.

    timm's repositories of CLIP have both: their config.json is that of the image tower alone.
    """
    if not (folder / CONFIG).is_file():
        return False
    settings = read_settings(folder / "config.json")
    return not settings or "architecture" in settings


def read_pair(folder: Path, flag: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return model_cfg and preprocess_cfg of a folder.

    Raises UserError if the weights are missing or the pair cannot be converted, and ValueError if
    the file has no model_cfg.
    """
    require_files(folder, flag, (CONFIG, WEIGHTS))
    settings = read_settings(folder / CONFIG)
    pair = settings.get("model_cfg")
    if not isinstance(pair, dict):
        raise ValueError(f"{CONFIG} has no model_cfg")
    check_settings(folder, "model_cfg", pair, PAIR)
    return pair, settings.get("preprocess_cfg") or {}


def check_settings(folder: Path, part: str, settings: dict[str, Any], known: tuple) -> None:
    """Raise UserError for a setting that is neither in `known` nor off nor at its default."""
    other = [
        f"{name} = {value}"
        for name, value in settings.items()
        if name not in known and value and value not in DEFAULTS.get(name, ())
    ]
    if other:
        refuse(folder, f"{', '.join(other)} in {part}")


def common_settings(
    folder: Path, part: str, pair: dict[str, Any], default_width: int
) -> dict[str, Any]:
    """Return the settings of a transformer in `part`, vision_cfg or text_cfg, for transformers."""
    settings = pair[part]
    width = settings.get("width", default_width)
    if not isinstance(settings.get("layers", 12), int):
        refuse(folder, f"layers = {settings['layers']} in {part}, a ResNet")
    return {
        "hidden_size": width,
        "intermediate_size": int(width * settings.get("mlp_ratio", 4.0)),
        "num_hidden_layers": settings.get("layers", 12),
        "hidden_act": _activation(folder, part, pair),
        "layer_norm_eps": (settings.get("norm_kwargs") or {}).get("eps", 1e-5),
    }


def _activation(folder: Path, part: str, pair: dict[str, Any]) -> str:
    activation, norm = (dict(pair[part].get(name) or {}) for name in ("act_kwargs", "norm_kwargs"))
    approximate = activation.pop("approximate", None)
    norm.pop("eps", None)
    quick = bool(pair.get("quick_gelu"))
    if activation or norm or approximate not in GELU or (quick and approximate):
        found = {name: pair[part].get(name) for name in ("act_kwargs", "norm_kwargs")}
        refuse(folder, f"{found} in {part} with quick_gelu = {quick}")
    return "quick_gelu" if quick else GELU[approximate]


def refuse(folder: Path, found: str) -> NoReturn:
    """Raise UserError about a pair that cannot be converted."""
    raise UserError(
        f"{folder / CONFIG}: found {found}, which cannot be converted. Allowed are ViT and timm "
        "image towers with a linear projection or none, and the text towers of CLIP and SigLIP. "
        "Choose another model, or a repository that has it in transformers' layout (config.json "
        "and model.safetensors)."
    )
