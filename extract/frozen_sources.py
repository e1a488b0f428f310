"""`--frozen MODALITY=SOURCE`: which models are added to a run as they are, without fine-tuning."""

import re
from dataclasses import dataclass
from itertools import pairwise

from runtime.errors import UserError, quoted

MODALITIES = ("text", "image", "clip")

AUTO = "auto"

POOLINGS = (AUTO, "checkpoint", "mean", "first", "layers")

SHAPE = "text=MODEL, image=MODEL or clip=MODEL, with MODEL a folder, a name on the hub, or mpnet"


@dataclass(frozen=True)
class FrozenSource:
    """One `--frozen` flag."""

    modality: str
    """text, image, or clip: a pair whose towers share their coordinates."""
    model: str
    """A folder, a hub repository (NAME or NAME@REVISION), or the name of an optional package."""
    pooling: str = AUTO
    """Pooling of the text tower. `checkpoint`: what the model says, else mean. `auto`: layers in
    place of mean, else what the model says."""

    @property
    def flag(self) -> str:
        """The value of the flag."""
        pooling = "" if self.pooling == AUTO else f",pooling={self.pooling}"
        return f"{self.modality}={self.model}{pooling}"

    @property
    def name(self) -> str:
        """Name of the space: the modality and the last part of the model's name."""
        last = re.split(r"[/\\]", self.model.rstrip("/\\").partition("@")[0])[-1]
        slug = re.sub(r"[^a-z0-9.]+", "-", last.lower()).strip("-.") or "model"
        pooling = "" if self.pooling == AUTO else f"-{self.pooling}"
        return f"{self.modality}-{slug}{pooling}"


def is_frozen_space(name: str) -> bool:
    """Return whether `name` is that of a space which a `--frozen` flag made."""
    return name.partition("-")[0] in MODALITIES


def parse_frozen(flags: list[str] | None) -> list[FrozenSource]:
    """Parse the values of `--frozen`, sorted by the names of their spaces.

    Raises UserError for an unknown modality or pooling, and for two spaces of one name.
    """
    sources = sorted((_parse(value) for value in flags or ()), key=lambda source: source.name)
    for one, other in pairwise(sources):
        if one.name == other.name:
            raise UserError(
                f"--frozen: {quoted(one.model)} and {quoted(other.model)} would both make the "
                f"space {one.name}. Leave one out, or rename one of the folders."
            )
    return sources


def _parse(value: str) -> FrozenSource:
    modality, _, rest = value.partition("=")
    model, _, pooling = rest.partition(",pooling=")
    if modality not in MODALITIES or not model:
        raise UserError(f"--frozen: found {quoted(value)}, allowed: {SHAPE}.")
    if pooling and modality != "text":
        raise UserError(f"--frozen: found {quoted(value)}. Only text=MODEL takes a pooling.")
    if pooling and pooling not in POOLINGS:
        allowed = ", ".join(POOLINGS)
        raise UserError(f"--frozen: found {quoted(value)}, allowed poolings: {allowed}.")
    return FrozenSource(modality, model, pooling or AUTO)
