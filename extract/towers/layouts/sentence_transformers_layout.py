"""Read and write what sentence-transformers adds to a text encoder: pooling, Dense and prompts.

modules.json lists what is done one after another: a transformer, the pooling of its tokens, and
often Dense modules (a linear layer and an activation each) and Normalize. All are read but
Normalize: it scales each embedding to length 1, which changes no score here for the better or the
worse (docs/choices.md). The layout is that of sentence-transformers 6.2 and before.
"""

import json
from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

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

DENSE = "+dense"
"""Ends the name of a pooling whose embedding the Dense modules of the checkpoint map."""

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


def read_pooling(folder: Path) -> str | None:
    """Return the pooling of a checkpoint: mean, first or max, with DENSE if it has such modules.

    Returns None if the folder does not say. Raises UserError for modules that are not known.
    """
    settings = read_settings(folder / POOLING)
    kinds = [kind for kind, _ in _read_modules(folder)]
    if not settings and not kinds:
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
    return POOLING_NAMES[modes[0]] + (DENSE if "Dense" in kinds else "")


def load_dense(folder: Path) -> nn.Sequential:
    """Load the Dense modules of a folder. Raises UserError if one is missing or unusual."""
    paths = [path for kind, path in _read_modules(folder) if kind == "Dense"]
    return nn.Sequential(*[_load_dense_module(folder / path) for path in paths])


def read_prefix(folder: Path) -> str:
    """Return the text that is put before each caption."""
    settings = read_settings(folder / PROMPTS)
    name = settings.get("default_prompt_name")
    prompts = settings.get("prompts") or {}
    if name is not None and not isinstance(prompts.get(name), str):
        raise ValueError(f"{PROMPTS} has no prompt named {quoted(str(name))}")
    return prompts[name] if name is not None else ""


def save_modules(folder: Path, pooling: str, dense: nn.Sequential | None, prefix: str) -> None:
    """Write what the functions above read. Other poolings are not of this layout."""
    if prefix:
        prompts = {"prompts": {"caption": prefix}, "default_prompt_name": "caption"}
        write_settings(folder / PROMPTS, prompts)
    names = {ours: theirs for theirs, ours in POOLING_NAMES.items()}
    pooling = pooling.removesuffix(DENSE)
    if pooling in names:
        write_settings(folder / POOLING, {"pooling_mode": names[pooling]})
    if dense is None:
        return
    kinds = ["Transformer", "Pooling", *["Dense"] * len(dense)]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_settings(folder / MODULES, modules)
    for path, module in zip(paths[2:], dense, strict=True):
        _save_dense_module(folder / path, module)


def _read_modules(folder: Path) -> list[tuple[str, str]]:
    """Return kind and subfolder of each module, or [] if there is no modules.json."""
    path = folder / MODULES
    if not path.is_file():
        return []
    with user_error_on_failure(folder, f"cannot load {MODULES}"):
        found = [(one["type"], one["path"]) for one in json.loads(path.read_text("utf-8"))]
    kinds = [_kind(name) for name, _ in found]
    behind = [kind for kind in kinds[2:] if kind != "Dropout"]
    usual = kinds[:2] == ["Transformer", "Pooling"] and "Normalize" not in behind[:-1]
    if not usual or set(behind) - {"Dense", "Normalize"}:
        raise UserError(
            f"{path}: found the modules {', '.join(name for name, _ in found)}. Allowed are "
            "Transformer, Pooling, any number of Dense and Dropout, and Normalize at the end, of "
            f"sentence_transformers. {INSTEAD}"
        )
    return [(kind, path) for kind, (_, path) in zip(kinds, found, strict=True)]


def _kind(name: str) -> str:
    """Turn sentence_transformers.models.Dense into Dense; other packages' keep their names."""
    return name.rpartition(".")[2] if name.startswith("sentence_transformers.") else name


def _load_dense_module(folder: Path) -> nn.Sequential:
    require_files(folder, "--frozen", ("config.json", "model.safetensors"))
    settings = read_settings(folder / "config.json")
    activation = settings.get("activation_function", "torch.nn.modules.activation.Tanh")
    other = {k: settings[k] for k, usual in USUAL_DENSE.items() if settings.get(k, usual) != usual}
    if activation not in ACTIVATIONS or other:
        raise UserError(
            f"{folder / 'config.json'}: found activation_function {quoted(activation)} and "
            f"{other or 'nothing else unusual'}. Allowed are {', '.join(ACTIVATIONS)} and "
            f"{USUAL_DENSE}. {INSTEAD}"
        )
    with user_error_on_failure(folder, "torch cannot load config.json with model.safetensors"):
        weights = load_file(folder / "model.safetensors")
        linear = nn.Linear(
            settings["in_features"], settings["out_features"], bias=settings.get("bias", True)
        )
        module = nn.Sequential(OrderedDict(linear=linear, activation=ACTIVATIONS[activation]()))
        module.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return module


def _save_dense_module(folder: Path, module: nn.Sequential) -> None:
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
