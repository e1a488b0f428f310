"""What there is to know of the data and of how the run was made."""

from dataclasses import dataclass
from importlib.metadata import version

from heads.ensemble.submission import share_of_positives
from heads.report.finished_run import FinishedRun
from heads.report.formatting import count, duration, plural

MOST_CONTRADICTIONS = 10

LIBRARIES = ("numpy", "scikit-learn", "lightgbm")
"""Stage two's own; data.json has those of stage one."""


@dataclass(frozen=True)
class Split:
    """One of train, val and test."""

    name: str
    rows: int
    positive: int
    known: int

    @property
    def share(self) -> float | None:
        """Share of hateful memes among those whose label is known."""
        return self.positive / self.known if self.known else None


@dataclass(frozen=True)
class Timing:
    """How long something took."""

    stage: str
    name: str
    seconds: float
    share: float
    """Of the longest."""


@dataclass(frozen=True)
class RunSummary:
    """The last section of the report."""

    splits: list[Split]
    memes: list[tuple[str, str]]
    """Name and value."""
    remarks: list[str]
    contradictions: list[str]
    """Sentences."""
    made: list[tuple[str, str]]
    timings: list[Timing]
    total: str


def summarise_run(run: FinishedRun) -> RunSummary:
    """Read data.json and the attributes of the features out."""
    splits = [
        Split(name, one["rows"], one["positive"], one["positive"] + one["negative"])
        for name, one in run.data["splits"].items()
    ]
    timings = _timings(run)
    return RunSummary(
        splits=[split for split in splits if split.rows],
        memes=_memes(run),
        remarks=run.data["remarks"],
        contradictions=_contradictions(run.data["contradictions"]),
        made=_made(run),
        timings=timings,
        total=duration(sum(timing.seconds for timing in timings)),
    )


def _memes(run: FinishedRun) -> list[tuple[str, str]]:
    near, tokens, rows = run.data["near_duplicates"], run.data["caption_tokens"], run.table.rows
    return [
        ("Distinct pictures", count(run.data["pictures"])),
        ("Distinct captions", count(run.data["captions"])),
        (
            "Tokens of a caption",
            f"half have {tokens['p50']} or fewer, 90 % have {tokens['p5']} to {tokens['p95']}, "
            f"the longest {tokens['p100']}",
        ),
        (
            "Groups of near-duplicates",
            f"{count(near['groups_shared'])} groups of two or more hold "
            f"{plural(near['rows_sharing'], 'row')}, the largest {near['largest']}; "
            f"{count(near['groups'])} groups in all, none is split between roles",
        ),
        (
            "Near-duplicate pictures",
            f"perceptual hashes at most {near['hash_radius']} of 64 bits apart",
        ),
        (
            "Test rows near train or val",
            f"{count(near['test_rows_near_labelled'])} of {count(int((~rows.labelled).sum()))}",
        ),
        ("Share of hateful memes in train", f"{share_of_positives(rows):.1%}"),
    ]


def _contradictions(memes: list[list[str]]) -> list[str]:
    said = [f"{', '.join(ids)}: same picture, same caption, both labels." for ids in memes]
    more = len(said) - MOST_CONTRADICTIONS
    return [*said[:MOST_CONTRADICTIONS], f"And {more} more in data.json."] if more > 0 else said


def _made(run: FinishedRun) -> list[tuple[str, str]]:
    config, about = run.table.attributes["config"], run.table.spaces[0].attributes
    versions = run.data["versions"] | {name: version(name) for name in LIBRARIES}
    backbones = [about[tower]["name"] for tower in ("image", "text") if tower in about]
    said = {
        "Spaces": ", ".join(space.name for space in run.table.spaces),
        "Backbones": ", ".join(backbones),
        "Image size": about.get("image_size"),
        "Fusion of stage one": about.get("fusion"),
        "Folds": config.get("folds"),
        "Seed": run.seed,
        "Device": run.data["device"],
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Stamp of the features": run.table.attributes["stamp"],
    }
    return [(name, str(value)) for name, value in said.items() if value not in (None, "")]


def _timings(run: FinishedRun) -> list[Timing]:
    extract = [("extract", name, seconds) for name, seconds in run.data["seconds"].items()]
    heads = [("fit-heads", one.name, one.record.seconds) for one in run.heads()]
    longest = max([seconds for _, _, seconds in extract + heads], default=0) or 1
    return [Timing(*timing, share=timing[2] / longest) for timing in extract + heads]
