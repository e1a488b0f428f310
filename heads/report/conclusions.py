"""Conclusions of the report: is the ensemble better than each baseline, and is that significant?

A difference is called significant if its 95 % bootstrap interval excludes 0.
"""

from dataclasses import dataclass
from typing import Any

from heads.report.finished_run import ENSEMBLE, EvaluatedModel, FinishedRun
from heads.report.formatting import (
    decimal,
    describe_head,
    joined,
    plural,
    signed,
    signed_span,
    span,
)
from heads.report.paired_differences import Difference, ensemble_gain

CHANCE = 0.5
"""AUROC of random scores."""


@dataclass(frozen=True)
class Comparison:
    """The ensemble compared with one head."""

    name: str
    roles: list[str]
    """Why this head is compared."""
    auroc: dict[str, Any]
    held_out: Difference
    test: Difference | None


@dataclass(frozen=True)
class Tile:
    """One metric in large print."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Conclusions:
    """First section of the report."""

    headline: str
    sentences: list[str]
    tiles: list[Tile]
    weights: dict[str, float]
    """Weights of the ensemble's members, in descending order."""
    dropped: list[str]
    """Heads with weight 0."""
    comparisons: list[Comparison]


def make_conclusions(run: FinishedRun) -> Conclusions:
    """Compare the ensemble with its baselines and describe the results in sentences."""
    comparisons = compare_with_baselines(run)
    best_modality = next(one for one in comparisons if one.name == run.best_modality().name)
    weights = sorted(run.ensemble.weights.items(), key=lambda item: -item[1])
    return Conclusions(
        headline=_headline(run, best_modality),
        sentences=[
            _ensemble_members(run),
            _against_chance(run),
            _against_best_modality(best_modality),
            _against_best_head(run),
            *_worth_of_fine_tuning(run),
            *_prior_or_offset(run),
        ],
        tiles=_tiles(run),
        weights={name: weight for name, weight in weights if weight > 0},
        dropped=[name for name, weight in weights if weight == 0],
        comparisons=comparisons,
    )


def compare_with_baselines(run: FinishedRun) -> list[Comparison]:
    """Compare the ensemble with the best head, two simple fusions and each single modality."""
    roles: dict[str, list[str]] = {}
    for name, role in (
        (run.best_head().name, "best single head"),
        ("joint", "fusion model of stage one"),
        ("linear", "linear in both modalities"),
        ("text only", "uses the caption only"),
        ("image only", "uses the picture only"),
    ):
        if name in run.models:
            roles.setdefault(name, []).append(role)
    comparisons = [_comparison(run, run.models[name], why) for name, why in roles.items()]
    if run.without_fine_tuning:
        why = ["the same ensemble of the spaces that use no labels"]
        comparisons.append(_comparison(run, run.without_fine_tuning, why))
    return comparisons


def _comparison(run: FinishedRun, other: EvaluatedModel, roles: list[str]) -> Comparison:
    held_out, test = (ensemble_gain(run, other, rows) for rows in ("held_out", "test"))
    return Comparison(other.name, roles, other.auroc(), held_out, test)


def _headline(run: FinishedRun, best_modality: Comparison) -> str:
    if run.models[ENSEMBLE].auroc()["interval"][0] <= CHANCE:
        return "The ensemble is not significantly better than chance"
    name, gain = describe_head(best_modality.name), best_modality.held_out
    return {
        1: f"Fusion improves AUROC by {decimal(gain.value)} over {name}",
        0: f"Fusion is not significantly better than {name}",
        -1: f"Fusion is significantly worse than {name}",
    }[gain.sign]


def _ensemble_members(run: FinishedRun) -> str:
    members = [name for name, weight in run.ensemble.weights.items() if weight > 0]
    heads = plural(len(run.ensemble.weights), "head")
    others = [one["kind"] for one in run.ensemble.tried if one["kind"] != run.ensemble.kind]
    chosen = f", chosen over {joined(others)} by log loss on held-out rows" if others else ""
    return (
        f"The ensemble method is “{run.ensemble.kind}”{chosen}. The ensemble uses {len(members)} "
        f"of {heads}: {joined(members)}."
    )


def _prior_or_offset(run: FinishedRun) -> list[str]:
    """One sentence if the probabilities of test memes were adjusted, else none."""
    ensemble = run.ensemble
    if ensemble.prior is not None:
        return [
            f"Probabilities are adjusted to a share of positives of {decimal(ensemble.prior)}. The "
            "ensemble's figures on held-out rows are weighted to it, those of the heads are not."
        ]
    if ensemble.offset == 0:
        return []
    return [
        f"The ensemble predicts too {'many' if ensemble.offset < 0 else 'few'} positives among "
        "the val memes. The logits of val and test memes are therefore shifted by "
        f"{signed(ensemble.offset)}; few val memes shift them little."
    ]


def _against_chance(run: FinishedRun) -> str:
    scores = run.ensemble.scores["held_out"]
    low, high = scores["auroc"]["interval"]
    # Accuracy is weighted to the prior, if there is one.
    share = run.ensemble.prior or scores["positives"] / scores["rows"]
    verdict = "significantly" if low > CHANCE else "not significantly"
    constant = decimal(max(share, 1 - share))
    return (
        f"The ensemble is evaluated on {plural(scores['rows'], 'held-out row')}; no model, weight "
        "or threshold applied to a row was fitted or chosen on it. Its AUROC is "
        f"{decimal(scores['auroc']['value'])} ({span((low, high))}), {verdict} better than chance. "
        f"Its accuracy is {decimal(scores['accuracy_tuned']['value'])} "
        f"({span(scores['accuracy_tuned']['interval'])}); always predicting the more frequent "
        f"class gives {constant}."
    )


def _against_best_modality(best_modality: Comparison) -> str:
    name, gain = describe_head(best_modality.name), best_modality.held_out
    sentence = (
        f"Fusion is {_verdict(gain)} {name}, the best head with one modality: the difference in "
        f"AUROC is {signed(gain.value)} ({signed_span(gain.interval)})."
    )
    if best_modality.test is None:
        return sentence
    gain = best_modality.test
    verdict = {1: "a significant gain", 0: "not significant", -1: "a significant loss"}[gain.sign]
    return (
        f"{sentence} On test rows it is {signed(gain.value)} ({signed_span(gain.interval)}), "
        f"{verdict}."
    )


def _against_best_head(run: FinishedRun) -> str:
    best = run.best_head()
    gain = ensemble_gain(run, best)
    return (
        f"The ensemble is {_verdict(gain)} the best single head, {best.name}: the difference in "
        f"AUROC is {signed(gain.value)} ({signed_span(gain.interval)}). This comparison favours "
        "the single head, which was selected on the same rows; the ensemble’s members and weights "
        "were chosen for each row without that row."
    )


def _worth_of_fine_tuning(run: FinishedRun) -> list[str]:
    """One sentence if the run has both fine-tuned and label-free spaces, else none."""
    if not run.without_fine_tuning:
        return []
    gain = ensemble_gain(run, run.without_fine_tuning)
    difference = f"{signed(gain.value)} ({signed_span(gain.interval)})"
    return [
        {
            1: f"Fine-tuning pays: it changes the ensemble’s AUROC by {difference}.",
            0: f"Whether fine-tuning pays is not certain on these rows: {difference} in AUROC. "
            "Without it (extract --folds 0), extract takes a fraction of the time.",
            -1: f"Fine-tuning does not pay here: {difference} in AUROC. Leave it out: "
            "extract --folds 0.",
        }[gain.sign]
    ]


def _verdict(gain: Difference) -> str:
    return {
        1: "significantly better than",
        0: "not significantly better than",
        -1: "significantly worse than",
    }[gain.sign]


def _tiles(run: FinishedRun) -> list[Tile]:
    tiles = []
    for rows, where in (("held_out", "held out"), ("test", "test")):
        scores = run.ensemble.scores[rows]
        if not scores:
            continue
        for key, name in (("auroc", "AUROC"), ("accuracy_tuned", "accuracy")):
            if scores[key]:
                metric = scores[key]
                note = f"95 % CI: {span(metric['interval'])}"
                tiles.append(Tile(f"{name}, {where}", decimal(metric["value"]), note))
    return tiles
