"""What a kind of space must define. `space_registry` lists the kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from extract.config import ExtractConfig
from extract.data.load_data import LoadedData
from extract.spaces.checkpoint import Checkpoint
from extract.spaces.run_setup import Setup
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from features.feature_table import Space

Embedder = Callable[[LoadedData, dict[str, Space]], dict[str, np.ndarray]]
"""f(memes, their spaces so far) -> `image`, `text` and, with a fusion head, `joint_logit`."""


class LoadedSpace(NamedTuple):
    """What embeds new memes in a space."""

    embed: Embedder
    model: JointModel | None
    """None if the space has no tower of its own."""


@dataclass(frozen=True)
class SpaceKind:
    """The spaces of one kind: their names, how they are created, and how they embed new memes."""

    names: Callable[[ExtractConfig], list[str]]
    """The spaces of this kind that a run with these settings has."""

    owns: Callable[[str], bool]
    """Whether a space's name is of this kind."""

    create: Callable[[Setup, str, Path | None], dict[str, Any]]
    """f(setup, name, folder): write embeddings.h5 and the models into `folder`. Returns the fields
    of `Checkpoint` that differ from the run's settings. A rank without a folder only computes."""

    load: Callable[[Path, Checkpoint, Machine], LoadedSpace]
    """Load the models of a space's folder."""

    depends_on: tuple[str, ...] | None = None
    """The settings that change a space. None: all of them."""

    obstacle: Callable[[Setup], str | None] = lambda setup: None
    """Why the data do not allow such a space; None if they do."""
