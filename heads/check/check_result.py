"""The result of one check."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """Result of one check of a run."""

    name: str
    ok: bool
    """False if the run's metrics or its submission cannot be trusted."""
    sentence: str
    """What was found, and what it means."""
    figures: dict[str, Any] = field(default_factory=dict)
