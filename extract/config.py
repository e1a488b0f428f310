"""Settings of stage one. The flags of `extract` and config.json are derived from this class."""

from dataclasses import dataclass, fields

from extract.frozen_sources import parse_frozen
from features.embedding_dtypes import EMBEDDING_DTYPES, FLOAT32
from runtime.config_fields import setting, validate

CONFIG = "config.json"
"""Settings of a run. Also in the folder of finished spaces that are not joined yet."""

PICTURES = "pictures"
"""Folder of a run for pictures whose bytes a table holds."""

ON_BAD_ROWS = ("stop", "blank")

COSINE, PLATEAU = SCHEDULES = ("cosine", "plateau")

IMAGE_COMMIT = "1b5383e5f79cc0f7fc067e372f8f26a5fa73f26a"
"""Commit of timm/efficientnet_b0.ra_in1k. Two public projects pin the same one."""

TEXT_COMMIT = "12040accade4e8a0f71eabdb258fecc2e7e948be"
"""Commit of distilbert/distilbert-base-uncased. Ten public projects pin the same one."""

DATA, WEIGHTS, MODEL, TRAINING, MACHINE = "Data", "Weights", "Model", "Training", "Machine"


@dataclass(frozen=True)
class ExtractConfig:
    """Settings of `extract`. Raises UserError for a value that is not allowed."""

    data: str | None = setting(
        None,
        "Folder (Kaggle CSVs, Hateful Memes JSONL) or one table. Default: the built-in sample.",
        DATA,
    )
    sample_memes: int = setting(2000, "Number of memes in the built-in sample.", DATA, minimum=120)
    id_column: str | None = setting(None, "Name of the id column, if it is not recognised.", DATA)
    image_column: str | None = setting(
        None, "Name of the column of image paths, if it is not recognised.", DATA
    )
    text_column: str | None = setting(
        None, "Name of the caption column, if it is not recognised.", DATA
    )
    label_column: str | None = setting(
        None, "Name of the label column (0 or 1), if it is not recognised.", DATA
    )
    split_column: str | None = setting(
        None, "Name of the split column (train, val or test), if it is not recognised.", DATA
    )
    group_column: str | None = setting(
        None,
        "Name of a column of slices, such as language or source, that the report compares. Models "
        "do not see it.",
        DATA,
    )
    train: str | None = setting(
        None, "Table of the train rows, if its name does not say so; in --data or a path.", DATA
    )
    val: str | None = setting(None, "Table of the val rows, likewise.", DATA)
    test: str | None = setting(None, "Table of the test rows, likewise.", DATA)
    image_folder: str | None = setting(
        None, "Folder of the pictures, if they are not found; in --data or a path.", DATA
    )
    read_captions: bool = setting(
        False,
        "Read absent captions off their pictures, here and in predict (requirements-ocr.txt).",
        DATA,
    )
    positive: str | None = setting(
        None,
        "Label values that mean hateful, separated by commas, if they are not 1 or true. All "
        "others then mean not hateful. Of a list, the first element counts.",
        DATA,
    )
    split: str | None = setting(
        None,
        "Divide the rows at random into shares of train, val and test, such as 0.7,0.1,0.2. "
        "Near-duplicates stay together.",
        DATA,
    )
    add: list[str] | None = setting(
        None,
        "Train also on what reviewers decided on the Review page: runs/NAME/review.jsonl. May be "
        "repeated.",
        DATA,
    )
    encoding: str = setting("utf-8", "Encoding of CSV and JSON files that are not UTF-8.", DATA)
    on_bad_rows: str = setting(
        "stop",
        "What to do about broken rows, such as a picture that cannot be decoded. stop: name them "
        "and exit. blank: give test rows a grey picture or an empty caption, leave out others.",
        DATA,
        choices=ON_BAD_ROWS,
    )
    folds: int = setting(
        3,
        "Number of cross-validation folds of train and val. One pair of backbones is fine-tuned "
        "without each fold. 1: one pair, without val, or without a fifth of train if there is no "
        "val. 0: no fine-tuning.",
        DATA,
        minimum=0,
    )

    weights: str | None = setting(
        None,
        "hub: EfficientNet-B0 and DistilBERT, downloaded once. bundled: EfficientNet-Lite0 and "
        "MiniLM, no network needed. Default: bundled for the built-in sample, else hub.",
        WEIGHTS,
        choices=("hub", "bundled"),
    )
    image_weights: str | None = setting(
        None,
        "Local folder, or name on the hub, of a timm model or of CLIP or SigLIP.",
        WEIGHTS,
    )
    text_weights: str | None = setting(
        None,
        "Local folder, or name on the hub, of a transformers encoder; or mpnet.",
        WEIGHTS,
    )

    image_revision: str = setting(
        IMAGE_COMMIT, "Commit of the hub's image model; main: the newest.", WEIGHTS
    )
    text_revision: str = setting(
        TEXT_COMMIT, "Commit of the hub's text model; main: the newest.", WEIGHTS
    )

    frozen: list[str] | None = setting(
        None,
        "Add a space of a model that is not fine-tuned; may be repeated. text=MODEL, image=MODEL "
        "or clip=MODEL (both towers of CLIP or SigLIP), with MODEL a local folder, a name on the "
        "hub (NAME or NAME@REVISION), or mpnet (requirements-large.txt). text=MODEL may "
        "be followed by ,pooling= and checkpoint, mean, first or layers. A finished run keeps its "
        "other spaces.",
        WEIGHTS,
    )

    image_size: int = setting(
        64, "Width and height to which pictures are resized, in pixels.", MODEL, minimum=32
    )
    max_tokens: int = setting(
        128, "Maximum length of a caption in tokens; longer ones are truncated.", MODEL, minimum=4
    )
    text_pooling: str = setting(
        "layers",
        "Pooling of the text embedding. mean: mean of the tokens of the last layer; first: its "
        "first token; layers: means of the first, middle and last layer, side by side.",
        MODEL,
        choices=("mean", "first", "layers"),
    )
    embedding_dtype: str = setting(
        FLOAT32,
        "Type in which features.h5 stores embeddings. float16 halves the file.",
        MODEL,
        choices=EMBEDDING_DTYPES,
    )
    fusion: str = setting(
        "interaction",
        "Fusion head of stage one: linear, mlp or interaction.",
        MODEL,
        choices=("linear", "mlp", "interaction"),
    )

    epochs: int = setting(
        3, "Number of epochs; with plateau, early stopping may end sooner.", TRAINING, minimum=1
    )
    schedule: str = setting(
        COSINE,
        "Learning rates. cosine: warm up, then fall to zero; the last epoch is used. plateau: a "
        "tenth of the training rows is monitored; rates fall, training stops and the epoch is "
        "chosen by their loss (ReduceLROnPlateau).",
        TRAINING,
        choices=SCHEDULES,
    )
    patience: int = setting(
        2,
        "With plateau: epochs without a lower monitored loss before training stops.",
        TRAINING,
        minimum=1,
    )
    batch_size: int = setting(32, "Number of memes per optimizer step.", TRAINING, minimum=2)
    tune_image: str = setting(
        "all",
        "Which layers of the image tower are trained: all, none, or last:N, its last N blocks.",
        TRAINING,
    )
    tune_text: str = setting("all", "The same for the text tower.", TRAINING)
    lr_image: float | None = setting(
        None,
        "Learning rate of the image tower. Default: 5e-5, 2e-5 for a tower of more than 150 "
        "million weights, 1e-5 for one of more than 500 million.",
        TRAINING,
        minimum=0.0,
    )
    lr_text: float | None = setting(None, "The same for the text tower.", TRAINING, minimum=0.0)
    lr_fusion: float = setting(5e-4, "Learning rate of the fusion head.", TRAINING, minimum=0.0)
    weight_decay: float = setting(0.01, "AdamW weight decay.", TRAINING, minimum=0.0)
    seed: int = setting(
        0, "Random seed of the sample, the folds and the training.", TRAINING, minimum=0
    )

    device: str = setting(
        "auto", "auto, cpu, cuda or cuda:N. auto: a GPU if there is one, else the CPU.", MACHINE
    )
    precision: str = setting(
        "auto",
        "Precision of autocast. auto: bf16 or fp16 on a GPU; on a CPU fp32 for the image tower, "
        "and bf16 for the text tower if the CPU supports it.",
        MACHINE,
        choices=("auto", "fp32", "bf16", "fp16"),
    )

    def __post_init__(self) -> None:
        validate(self)
        parse_frozen(self.frozen)


EMBEDDING_SETTINGS = tuple(
    field.name
    for field in fields(ExtractConfig)
    if (field.metadata["group"] in (WEIGHTS, MODEL, MACHINE) or field.name == "read_captions")
    and field.name not in ("fusion", "frozen")
)
"""Settings that change the embeddings of towers that are not trained."""
