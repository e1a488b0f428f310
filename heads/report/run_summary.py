"""Summary of a run for the report: data counts, settings, versions and timings."""

from dataclasses import dataclass
from importlib.metadata import version

from heads.ensemble.submission import train_positive_share
from heads.report.finished_run import FinishedRun
from heads.report.formatting import count, duration, plural

MAX_CONTRADICTIONS = 10

LIBRARIES = ("numpy", "scikit-learn", "lightgbm")
"""Libraries of stage two; data.json has the versions of those of stage one."""


@dataclass(frozen=True)
class Split:
    """One of train, val and test."""

    name: str
    rows: int
    positive: int
    known: int
    """Rows whose label is known."""

    @property
    def share(self) -> float | None:
        """Share of positives among rows whose label is known; None if there are none."""
        return self.positive / self.known if self.known else None


@dataclass(frozen=True)
class Timing:
    """Duration of one step."""

    stage: str
    name: str
    seconds: float
    share: float
    """Fraction of the longest step."""


@dataclass(frozen=True)
class RunSummary:
    """Last section of the report."""

    splits: list[Split]
    data: list[tuple[str, str]]
    """Name and value."""
    remarks: list[str]
    """Messages from reading the data."""
    contradictions: list[str]
    """One sentence for each contradiction."""
    settings: list[tuple[str, str]]
    """Name and value."""
    timings: list[Timing]
    total: str


def summarise_run(run: FinishedRun) -> RunSummary:
    """Summarise data.json, the attributes of features.h5 and the heads' records."""
    splits = [
        Split(name, split["rows"], split["positive"], split["positive"] + split["negative"])
        for name, split in run.data["splits"].items()
    ]
    timings = _timings(run)
    return RunSummary(
        splits=[split for split in splits if split.rows],
        data=_data(run),
        remarks=run.data["remarks"],
        contradictions=_contradictions(run.data["contradictions"]),
        settings=_settings(run),
        timings=timings,
        total=duration(sum(timing.seconds for timing in timings)),
    )


def _data(run: FinishedRun) -> list[tuple[str, str]]:
    near, tokens, rows = run.data["near_duplicates"], run.data["caption_tokens"], run.table.rows
    return [
        ("Distinct pictures", count(run.data["pictures"])),
        ("Distinct captions", count(run.data["captions"])),
        (
            "Tokens per caption",
            f"median {tokens['p50']}, 5th to 95th percentile {tokens['p5']} to {tokens['p95']}, "
            f"maximum {tokens['p100']}",
        ),
        (
            "Groups of near-duplicates",
            f"{count(near['groups_shared'])} groups of two or more rows with "
            f"{plural(near['rows_sharing'], 'row')} in total, the largest with {near['largest']}; "
            f"{count(near['groups'])} groups including single rows. No group is split between "
            "fitted, monitored and held-out rows",
        ),
        (
            "Near-duplicate pictures",
            f"perceptual hashes differ in at most {near['hash_radius']} of 64 bits",
        ),
        (
            "Test rows with a near-duplicate in train or val",
            f"{count(near['test_rows_near_labelled'])} of {count(int((~rows.labelled).sum()))}",
        ),
        ("Share of hateful memes in train", f"{train_positive_share(rows):.1%}"),
    ]


def _contradictions(memes: list[list[str]]) -> list[str]:
    sentences = [
        f"{', '.join(ids)}: same picture and same caption, but different labels." for ids in memes
    ]
    more = len(sentences) - MAX_CONTRADICTIONS
    if more <= 0:
        return sentences
    return [*sentences[:MAX_CONTRADICTIONS], f"data.json lists {more} more."]


def _settings(run: FinishedRun) -> list[tuple[str, str]]:
    config, space = run.table.attributes["config"], run.table.spaces[0].attributes
    versions = run.data["versions"] | {name: version(name) for name in LIBRARIES}
    backbones = [space[tower]["name"] for tower in ("image", "text") if tower in space]
    settings = {
        "Spaces": ", ".join(space.name for space in run.table.spaces),
        "Backbones": ", ".join(backbones),
        "Image size": space.get("image_size"),
        "Fusion of stage one": space.get("fusion"),
        "Folds": config.get("folds"),
        "Seed": run.seed,
        "Device": run.data["device"],
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Stamp of the features": run.table.attributes["stamp"],
    }
    return [(name, str(value)) for name, value in settings.items() if value not in (None, "")]


def _timings(run: FinishedRun) -> list[Timing]:
    extract = [("extract", name, seconds) for name, seconds in run.data["seconds"].items()]
    heads = [("fit-heads", head.name, head.record.seconds) for head in run.heads()]
    longest = max([seconds for _, _, seconds in extract + heads], default=0) or 1
    return [Timing(*timing, share=timing[2] / longest) for timing in extract + heads]
