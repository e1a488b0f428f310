"""What a check found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check of a run."""

    name: str
    ok: bool
    """False if the run's figures or its submission must not be trusted."""
    sentence: str
    """What was found and what it means."""
    figures: dict[str, Any] = field(default_factory=dict)
