"""Settings of `predict` and `serve`. Command-line flags derive from these classes."""

from dataclasses import dataclass
from pathlib import Path

from extract.config import ON_BAD_ROWS
from heads.config import SUBMITTED, TRAINED
from runtime.cluster.engine_config import RAY, EngineConfig
from runtime.config_fields import setting, validate
from runtime.errors import UserError

MEMES, OUTPUT, MODEL, SERVICE = "Memes", "Output", "Model", "Service"

RAY_DEVICES = ("auto", "cpu", "cuda")

SUFFIXES = (".csv", ".jsonl", ".parquet")

PRIOR = (
    f"Share of hateful memes that you expect; or {TRAINED}: that of the training rows; or "
    f"{SUBMITTED}: as in solution.csv, moved to the shares of val or of submit --prior."
)


@dataclass(frozen=True)
class PredictConfig(EngineConfig):
    """Settings of `predict`. Raises UserError for a value that is not allowed."""

    data: str | None = setting(
        None, "Table of memes, folder with one, or folder of many: see --out.", MEMES
    )
    image: str | None = setting(None, "A picture.", MEMES)
    text: str | None = setting(None, "Its caption.", MEMES)
    image_folder: str | None = setting(
        None, "Folder of the pictures of --data, if they are not found.", MEMES
    )
    on_bad_rows: str = setting(
        "stop", "stop, or blank: grey image, empty caption.", MEMES, choices=ON_BAD_ROWS
    )
    out: str | None = setting(
        None,
        "File to write, .csv, .jsonl or .parquet; default: CSV on stdout. Or a folder: each table "
        "in the folder --data is a shard, whose results get a file there. A killed command is "
        "continued by the same command.",
        OUTPUT,
    )
    audit: bool = setting(
        False, "Add threshold, prior, run, stamp, ensemble, version to each row.", OUTPUT
    )
    prior: str = setting(SUBMITTED, PRIOR, MODEL)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", MODEL)

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_prior(self.prior)
        single = self.image is not None or self.text is not None
        if single == (self.data is not None):
            raise UserError("predict: pass either --data, or --image, --text or both")
        if self.out and not self.writes_shards and _suffix(self.out) not in SUFFIXES:
            allowed = f"a name in {', '.join(SUFFIXES)}, or a folder (without suffix) for shards"
            raise UserError(f'--out: found "{self.out}", allowed: {allowed}')
        if self.writes_shards and self.data is None:
            raise UserError(f'--out: found "{self.out}", a folder, allowed with --data DIR only')
        if self.engine == RAY and not self.writes_shards:
            advice = "Pass a folder of tables as --data, and a folder as --out"
            raise UserError(f"--engine {RAY} scores a folder of shards. {advice}.")
        if self.engine == RAY and self.device not in RAY_DEVICES:
            allowed = ", ".join(RAY_DEVICES)
            raise UserError(
                f'--device: found "{self.device}", allowed with --engine {RAY}, which chooses the '
                f"GPU of each worker: {allowed}"
            )

    @property
    def writes_shards(self) -> bool:
        """Whether `out` is a folder, so that each table in the folder `data` is a shard."""
        return bool(self.out) and (not _suffix(self.out) or Path(self.out).is_dir())


@dataclass(frozen=True)
class ServeConfig:
    """Settings of `serve`. Raises UserError for a value that is not allowed."""

    host: str = setting(
        "127.0.0.1", "Address to listen on. Any but this machine's own needs a token.", SERVICE
    )
    port: int = setting(8000, "Port to listen on.", SERVICE, minimum=0)
    token: str | None = setting(
        None, "Token that callers must send; default: MEMEFUSE_TOKEN, if it is set.", SERVICE
    )
    prior: str = setting(TRAINED, PRIOR, MODEL)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", MODEL)

    def __post_init__(self) -> None:
        validate(self)
        parse_prior(self.prior)


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `export`. Raises UserError for a value that is not allowed."""

    out: str | None = setting(None, "New folder to write to.", OUTPUT)
    int8: bool = setting(
        False, "Write the towers' weights as 8-bit integers: smaller, less accurate.", OUTPUT
    )

    def __post_init__(self) -> None:
        validate(self)
        if not self.out:
            raise UserError("export: pass --out DIR, a new folder")


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def parse_prior(text: str) -> float | str:
    """Return SUBMITTED, TRAINED or a share. Raises UserError for anything else."""
    if text in (SUBMITTED, TRAINED):
        return text
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        allowed = f"{SUBMITTED}, {TRAINED}, or a number between 0 and 1"
        raise UserError(f'--prior: found "{text}", allowed: {allowed}')
    return share
