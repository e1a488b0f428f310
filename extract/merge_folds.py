"""Merge folds that were fine-tuned in separate runs, possibly on other machines, into one run."""

from pathlib import Path

from extract.config import CONFIG, ExtractConfig
from extract.folds.data_summary import summarise_data
from extract.run import assemble_run
from extract.spaces.all_spaces import create_spaces
from extract.spaces.checkpoint import holds_checkpoint, read_checkpoint, verify_files
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.run_setup import Setup, load_setup
from extract.spaces.space_registry import space_names
from extract.towers.device import choose_machine
from features.space_files import verify_space_file
from runtime.config_fields import flag, from_dict, to_dict
from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write_folder, link_folder
from runtime.files.json_files import read_json
from runtime.progress import log


def merge(run: Path, parts: list[Path], data: str | None, force: bool) -> Path:
    """Join the spaces that `extract --only-folds` wrote in the runs `parts`; write features.h5.

    Pass `data`, the path of the data on this machine, if it differs from that of the first part.
    Returns the path of features.h5 in `run`. Raises UserError if the parts differ in data or
    settings, or if a fold is in none of them.
    """
    features = run / "features.h5"
    if features.exists() and not force:
        raise UserError(f"{features} already exists. Name another --run, or pass --force.")
    folders = [_unfinished_folder(part) for part in parts]
    config = _common_config(folders, data)
    setup = load_setup(config, choose_machine(config.device, config.precision), run)
    found = _find_spaces(setup, folders)
    for name, source in found.items():
        verify_files(source, read_checkpoint(source))
        verify_space_file(source / EMBEDDINGS)
        if source.parent != setup.folder:
            with atomic_write_folder(setup.folder / name) as partial:
                link_folder(source, partial)
        log(f"{name}: from {source.parent.parent.parent}")
    # If no part has a lexical space, the captions allow none. Checking that again is cheap.
    names = create_spaces(setup, space_names(config))
    return assemble_run(setup, summarise_data(setup.data, setup.rows), names)


def _unfinished_folder(part: Path) -> Path:
    """Return the folder with the finished spaces of a run that is not merged yet."""
    folders = [path.parent for path in part.glob(f"unfinished/*/{CONFIG}")]
    if len(folders) != 1:
        raise UserError(
            f"{part} holds no folds to merge. Create them first: python pipeline.py extract "
            f"--only-folds 0 --run {part.name}"
        )
    return folders[0]


def _common_config(folders: list[Path], data: str | None) -> ExtractConfig:
    configs = [from_dict(ExtractConfig, read_json(f / CONFIG, "extract")) for f in folders]
    first, *others = (to_dict(config) | {"data": None} for config in configs)
    for folder, other in zip(folders[1:], others, strict=True):
        if folder.name == folders[0].name:
            continue
        differing = [f"{flag(k)}: {first[k]} and {other[k]}" for k in first if first[k] != other[k]]
        differing = differing or ["other rows, captions, labels, pictures or weights"]
        raise UserError(
            f"{folders[0].parent.parent} and {folder.parent.parent} are not parts of one run:\n"
            + "\n".join(f"  {line}" for line in differing)
        )
    return from_dict(ExtractConfig, first | {"data": data or configs[0].data})


def _find_spaces(setup: Setup, folders: list[Path]) -> dict[str, Path]:
    """Return space name -> the folder that holds it, for every space. Lexical may be missing."""
    if folders[0].name != setup.stamp:
        raise UserError(
            f"{folders[0].parent.parent} was created from other data or weights than are found "
            "now. Pass --data with the path of the data that it was created from."
        )
    found, missing = {}, []
    for name in space_names(setup.config):
        holders = [f / name for f in folders if holds_checkpoint(f / name, setup.stamp)]
        if holders:
            found[name] = holders[0]
        elif name.startswith("space_"):
            missing.append(name.removeprefix("space_"))
    if missing:
        raise UserError(
            f"no part holds the folds {', '.join(missing)}. Create them with the same settings and "
            f"--only-folds {','.join(missing)}"
        )
    return found
