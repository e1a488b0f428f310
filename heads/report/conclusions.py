"""What came out, in words that a table cannot say: is it better, than what, and is that noise?"""

from dataclasses import dataclass
from typing import Any

from heads.report.finished_run import ENSEMBLE, Contender, FinishedRun
from heads.report.formatting import called, decimal, joined, plural, signed, signed_span, span
from heads.report.paired_differences import Difference, against

CHANCE = 0.5


@dataclass(frozen=True)
class Comparison:
    """The ensemble against one other."""

    name: str
    roles: list[str]
    """Why it is compared."""
    auroc: dict[str, Any]
    held_out: Difference
    test: Difference | None


@dataclass(frozen=True)
class Tile:
    """One large figure."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Conclusions:
    """The top of the report."""

    headline: str
    sentences: list[str]
    tiles: list[Tile]
    weights: dict[str, float]
    """Of the members that were kept, the heaviest first."""
    dropped: list[str]
    comparisons: list[Comparison]


def make_conclusions(run: FinishedRun) -> Conclusions:
    """Compare the ensemble with what it has to beat."""
    comparisons = compare(run)
    alone = next(one for one in comparisons if one.name == run.best_modality().name)
    weights = sorted(run.ensemble.weights.items(), key=lambda item: -item[1])
    return Conclusions(
        headline=_headline(run, alone),
        sentences=[
            _made_of(run),
            _against_chance(run),
            _fusion(alone),
            _best_head(run),
            *_leaning(run),
        ],
        tiles=_tiles(run),
        weights={name: weight for name, weight in weights if weight > 0},
        dropped=[name for name, weight in weights if weight == 0],
        comparisons=comparisons,
    )


def compare(run: FinishedRun) -> list[Comparison]:
    """The ensemble against the best head, both fusions of reference and each modality alone."""
    roles: dict[str, list[str]] = {}
    for name, role in (
        (run.best_head().name, "best single head"),
        ("joint", "fusion of stage one"),
        ("linear", "adds both modalities up"),
        ("text only", "caption alone"),
        ("image only", "picture alone"),
    ):
        if name in run.contenders:
            roles.setdefault(name, []).append(role)
    return [_comparison(run, run.contenders[name], why) for name, why in roles.items()]


def _comparison(run: FinishedRun, other: Contender, roles: list[str]) -> Comparison:
    held_out, test = (against(run, other, rows) for rows in ("held_out", "test"))
    return Comparison(other.name, roles, other.auroc(), held_out, test)


def _headline(run: FinishedRun, alone: Comparison) -> str:
    if run.contenders[ENSEMBLE].auroc()["interval"][0] <= CHANCE:
        return "No better than chance"
    name = called(alone.name)
    return {
        1: f"Fusion adds {decimal(alone.held_out.value)} AUROC to {name}",
        0: f"Fusion does not beat {name} beyond noise",
        -1: f"Fusion does worse than {name}",
    }[alone.held_out.sign]


def _made_of(run: FinishedRun) -> str:
    kept = [name for name, weight in run.ensemble.weights.items() if weight > 0]
    members = f"{len(kept)} of {plural(len(run.ensemble.weights), 'head')}: {joined(kept)}"
    others = [one["kind"] for one in run.ensemble.tried if one["kind"] != run.ensemble.kind]
    chosen = f", chosen over {joined(others)} by log loss on held-out rows" if others else ""
    return f"The ensemble is of the kind “{run.ensemble.kind}”{chosen}. It listens to {members}."


def _leaning(run: FinishedRun) -> list[str]:
    """Nothing, unless the ensemble's probabilities were moved for test memes."""
    ensemble = run.ensemble
    if ensemble.prior is not None:
        return [f"Probabilities are those for a share of positives of {decimal(ensemble.prior)}."]
    if ensemble.offset == 0:
        return []
    return [
        "Val memes are not like train memes: beyond doubt the ensemble expects too "
        f"{'many' if ensemble.offset < 0 else 'few'} positives among them. The logits of val and "
        f"test memes are moved by {signed(ensemble.offset)}."
    ]


def _against_chance(run: FinishedRun) -> str:
    scores = run.ensemble.scores["held_out"]
    low, high = scores["auroc"]["interval"]
    share = scores["positives"] / scores["rows"]
    verb = "tells" if low > CHANCE else "does not tell"
    constant = decimal(max(share, 1 - share))
    return (
        f"On {plural(scores['rows'], 'held-out row')}, each scored by fits and choices made "
        f"without it, the ensemble {verb} hateful memes from others better than chance: AUROC "
        f"{decimal(scores['auroc']['value'])} ({span((low, high))}). Its accuracy is "
        f"{decimal(scores['accuracy_tuned']['value'])} "
        f"({span(scores['accuracy_tuned']['interval'])}); always giving the more frequent answer "
        f"gets {constant}."
    )


def _fusion(alone: Comparison) -> str:
    name, gap = called(alone.name), alone.held_out
    found = f"{signed(gap.value)} AUROC ({signed_span(gap.interval)})"
    said = {
        1: f"Fusion adds to what {name} says, beyond noise: {found}.",
        0: f"Fusion does not beat {name} beyond noise: the difference is {found}.",
        -1: f"Fusion is worse than {name}, beyond noise: {found}.",
    }[gap.sign]
    if alone.test is None:
        return said
    gap = alone.test
    agrees = {1: "beyond noise", 0: "within noise", -1: "worse, beyond noise"}[gap.sign]
    return f"{said} On test rows it is {signed(gap.value)} ({signed_span(gap.interval)}), {agrees}."


def _best_head(run: FinishedRun) -> str:
    best = run.best_head()
    gap = against(run, best)
    verb = {1: "beats", 0: "does not beat", -1: "does worse than"}[gap.sign]
    return (
        f"The ensemble {verb} the best single head, {best.name}, beyond noise: "
        f"{signed(gap.value)} AUROC ({signed_span(gap.interval)}). That head is the best on these "
        "very rows, which flatters it; the ensemble’s members and weights were chosen for each row "
        "without it."
    )


def _tiles(run: FinishedRun) -> list[Tile]:
    tiles = []
    for rows, where in (("held_out", "held out"), ("test", "test")):
        scores = run.ensemble.scores[rows]
        if not scores:
            continue
        for key, name in (("auroc", "AUROC"), ("accuracy_tuned", "accuracy")):
            if scores[key]:
                figure = scores[key]
                tiles.append(Tile(f"{name}, {where}", decimal(figure["value"]), _note(figure)))
    return tiles


def _note(figure: dict[str, Any]) -> str:
    return f"95 %: {span(figure['interval'])}"
