"""Read and write what sentence-transformers adds to a text encoder: pooling, modules, prompts.

modules.json lists what is done one after another: a transformer, the pooling of its tokens, and
what maps the pooled embedding, which are Dense modules (a linear layer and an activation each) and
Normalize (to length 1). The layout is that of sentence-transformers 6.2 and before.
"""

import json
from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from extract.towers.layouts.model_folder import (
    read_settings,
    require_files,
    user_error_on_failure,
    write_settings,
)
from runtime.errors import UserError, quoted

MODULES = "modules.json"

PROMPTS = "config_sentence_transformers.json"

POOLING = "1_Pooling/config.json"

POOLING_NAMES = {"mean": "mean", "cls": "first", "max": "max"}
"""Pooling in sentence-transformers -> pooling of TextEncoder."""

ACTIVATIONS = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (nn.Tanh, nn.Identity, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid)
}

USUAL_DENSE = {
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
    "use_residual": False,
}

INSTEAD = "Choose pooling mean, first or layers instead of the checkpoint's, or another model."


class Normalize(nn.Module):
    """Scales embeddings, (B, dim), to length 1."""

    def forward(self, embeddings: Tensor) -> Tensor:
        return nn.functional.normalize(embeddings, dim=-1)


def read_pooling(folder: Path) -> str | None:
    """Return the pooling of a checkpoint: mean, first or max, followed by modules, if any.

    For example mean+dense+normalize. Returns None if the folder does not say. Raises UserError for
    poolings and modules that are not known.
    """
    settings = read_settings(folder / POOLING)
    modules = _read_modules(folder)
    if not settings and not modules:
        return None
    # Older versions have a flag for each: pooling_mode_mean_tokens.
    flags = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    named = settings.get("pooling_mode") or [_without_affixes(flag) for flag in flags] or "mean"
    modes = [named] if isinstance(named, str) else named
    if len(modes) != 1 or modes[0] not in POOLING_NAMES:
        raise UserError(
            f"{folder / POOLING}: found pooling {quoted(' and '.join(map(str, modes)))}, allowed "
            f"is one of {', '.join(POOLING_NAMES)}. {INSTEAD}"
        )
    return "+".join([POOLING_NAMES[modes[0]], *(kind.lower() for kind, _ in modules)])


def load_modules(folder: Path) -> nn.Sequential:
    """Load what maps pooled embeddings. Raises UserError if a module is damaged or unusual."""
    return nn.Sequential(
        *(
            _load_dense(folder / path) if kind == "Dense" else Normalize()
            for kind, path in _read_modules(folder)
        )
    )


def read_prefix(folder: Path) -> str:
    """Return the text that is put before each caption."""
    settings = read_settings(folder / PROMPTS)
    name = settings.get("default_prompt_name")
    prompts = settings.get("prompts") or {}
    if name is not None and not isinstance(prompts.get(name), str):
        raise ValueError(f"{PROMPTS} has no prompt named {quoted(str(name))}")
    return prompts[name] if name is not None else ""


def save_layout(
    folder: Path, pooling: str, width: int, modules: nn.Sequential, prefix: str
) -> None:
    """Write what the functions above read. `width` is that of the transformer.

    Poolings that are not of this layout, layers and projection, are not written.
    """
    if prefix:
        prompts = {"prompts": {"caption": prefix}, "default_prompt_name": "caption"}
        write_settings(folder / PROMPTS, prompts)
    names = {ours: theirs for theirs, ours in POOLING_NAMES.items()}
    pooling = pooling.partition("+")[0]
    if pooling in names:
        settings = {"embedding_dimension": width, "pooling_mode": names[pooling]}
        write_settings(folder / POOLING, settings)
    if not modules:
        return
    behind = ["Normalize" if isinstance(module, Normalize) else "Dense" for module in modules]
    kinds = ["Transformer", "Pooling", *behind]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    listed = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_settings(folder / MODULES, listed)
    for path, module in zip(paths[2:], modules, strict=True):
        if not isinstance(module, Normalize):
            _save_dense(folder / path, module)


def _read_modules(folder: Path) -> list[tuple[str, str]]:
    """Return kind, Dense or Normalize, and subfolder of each module behind the pooling."""
    path = folder / MODULES
    if not path.is_file():
        return []
    with user_error_on_failure(folder, f"cannot load {MODULES}"):
        found = [(one["type"], one["path"]) for one in json.loads(path.read_text("utf-8"))]
    kinds = [_kind(name) for name, _ in found]
    known = kinds[:2] == ["Transformer", "Pooling"]
    if not known or set(kinds[2:]) - {"Dense", "Normalize", "Dropout"}:
        raise UserError(
            f"{path}: found the modules {', '.join(name for name, _ in found)}. Allowed are "
            f"Transformer, Pooling, and then Dense and Normalize. {INSTEAD}"
        )
    behind = zip(kinds[2:], found[2:], strict=True)
    return [(kind, folder) for kind, (_, folder) in behind if kind != "Dropout"]


def _kind(name: str) -> str:
    """Turn sentence_transformers.models.Dense into Dense; other packages' keep their names."""
    return name.rpartition(".")[2] if name.startswith("sentence_transformers.") else name


def _load_dense(folder: Path) -> nn.Sequential:
    require_files(folder, "--frozen", ("config.json", "model.safetensors"))
    settings = read_settings(folder / "config.json")
    activation = settings.get("activation_function", "torch.nn.modules.activation.Tanh")
    unusual = {k: settings[k] for k, v in USUAL_DENSE.items() if settings.get(k, v) != v}
    if activation not in ACTIVATIONS:
        unusual["activation_function"] = activation
    if unusual:
        raise UserError(
            f"{folder / 'config.json'}: found {unusual}. Allowed are {USUAL_DENSE} and the "
            f"activation functions {', '.join(ACTIVATIONS)}. {INSTEAD}"
        )
    with user_error_on_failure(folder, "torch cannot load config.json with model.safetensors"):
        linear = nn.Linear(
            settings["in_features"], settings["out_features"], bias=settings.get("bias", True)
        )
        module = nn.Sequential(OrderedDict(linear=linear, activation=ACTIVATIONS[activation]()))
        weights = load_file(folder / "model.safetensors")
        module.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return module


def _save_dense(folder: Path, module: nn.Sequential) -> None:
    kind, linear = type(module.activation), module.linear
    settings = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{kind.__module__}.{kind.__qualname__}",
    }
    write_settings(folder / "config.json", settings)
    save_file(module.state_dict(), folder / "model.safetensors")


def _without_affixes(flag: str) -> str:
    """Turn pooling_mode_mean_tokens into mean."""
    return flag.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
