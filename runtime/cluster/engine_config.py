"""Settings of commands that can divide their work among processes. Flags derive from them."""

from dataclasses import dataclass

from runtime.config_fields import setting, validate
from runtime.errors import UserError

ENGINES = LOCAL, RAY = "local", "ray"

MACHINES = "Machines"


@dataclass(frozen=True)
class EngineConfig:
    """Where the work is done. Raises UserError for a value that is not allowed."""

    engine: str = setting(
        LOCAL,
        f"{LOCAL}: in this process; or {RAY}: in many, on this machine or on the cluster "
        "RAY_ADDRESS (requirements-scale.txt).",
        MACHINES,
        choices=ENGINES,
    )
    workers: int | None = setting(
        None,
        f"Processes of --engine {RAY}; default: one per GPU, else one per CPU core.",
        MACHINES,
        minimum=1,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.engine != RAY and self.workers is not None:
            raise UserError(f"--workers: only --engine {RAY} has workers. Add it, or omit this.")
