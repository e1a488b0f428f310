"""Everything that stage one can be told. Flags and config.json derive from this class."""

from dataclasses import dataclass

from runtime.settings import setting, validate

ON_BAD_ROWS = ("stop", "blank")

IMAGE_COMMIT = "1b5383e5f79cc0f7fc067e372f8f26a5fa73f26a"
"""Of timm/efficientnet_b0.ra_in1k, as two public projects pin it."""

TEXT_COMMIT = "12040accade4e8a0f71eabdb258fecc2e7e948be"
"""Of distilbert/distilbert-base-uncased, as ten public projects pin it."""

DATA, WEIGHTS, MODEL, TRAINING, MACHINE = "Data", "Weights", "Model", "Training", "Machine"


@dataclass(frozen=True)
class ExtractConfig:
    """Settings of `extract`. Raises UserError for a value that is not allowed."""

    data: str | None = setting(
        None,
        "Folder (Kaggle CSVs, Hateful Memes JSONL) or one table, else the built-in sample.",
        DATA,
    )
    sample_memes: int = setting(2000, "Memes in the built-in sample.", DATA, minimum=120)
    id_column: str | None = setting(None, "Column with the ids, if not recognised.", DATA)
    image_column: str | None = setting(
        None, "Column with the image paths, if not recognised.", DATA
    )
    text_column: str | None = setting(None, "Column with the captions, if not recognised.", DATA)
    label_column: str | None = setting(
        None, "Column with the labels (0 or 1), if not recognised.", DATA
    )
    split_column: str | None = setting(
        None, "Column with train, val or test, if not recognised.", DATA
    )
    on_bad_rows: str = setting(
        "stop",
        "stop: list every bad row and exit. blank: keep bad test rows with a grey image or an "
        "empty caption, leave bad train and val rows out.",
        DATA,
        choices=ON_BAD_ROWS,
    )
    folds: int = setting(
        3,
        "Pairs of backbones to fine-tune, each without its own grouped fold of train and val. 1: "
        "one pair, which leaves out val, or a fifth of train.",
        DATA,
        minimum=1,
    )

    weights: str | None = setting(
        None,
        "hub: EfficientNet-B0 and DistilBERT, downloaded once. bundled: EfficientNet-Lite0 and "
        "MiniLM, no network. By default hub, for the sample bundled.",
        WEIGHTS,
        choices=("hub", "bundled"),
    )
    image_weights: str | None = setting(
        None, "Local folder with a timm model (config.json, model.safetensors).", WEIGHTS
    )
    text_weights: str | None = setting(
        None,
        "Local folder with a transformers encoder (the same, and tokenizer.json).",
        WEIGHTS,
    )

    image_revision: str = setting(
        IMAGE_COMMIT, "Commit of the hub's image model; main takes the newest.", WEIGHTS
    )
    text_revision: str = setting(
        TEXT_COMMIT, "Commit of the hub's text model; main takes the newest.", WEIGHTS
    )

    image_size: int = setting(
        64, "Side to which pictures are resized, in pixels.", MODEL, minimum=32
    )
    max_tokens: int = setting(
        128, "Longest caption, in tokens; the rest is cut off.", MODEL, minimum=4
    )
    text_pooling: str = setting(
        "mean", "Pooled text embedding: mean or first token.", MODEL, choices=("mean", "first")
    )
    fusion: str = setting(
        "interaction",
        "Fusion head of stage one: linear, mlp or interaction.",
        MODEL,
        choices=("linear", "mlp", "interaction"),
    )

    epochs: int = setting(6, "Most epochs; early stopping may end sooner.", TRAINING, minimum=1)
    patience: int = setting(
        2, "Epochs without a lower monitored loss before stopping.", TRAINING, minimum=1
    )
    batch_size: int = setting(32, "Memes in a training step.", TRAINING, minimum=2)
    lr_image: float = setting(3e-4, "Learning rate of the image tower.", TRAINING, minimum=0.0)
    lr_text: float = setting(5e-5, "Learning rate of the text tower.", TRAINING, minimum=0.0)
    lr_fusion: float = setting(1e-3, "Learning rate of the fusion head.", TRAINING, minimum=0.0)
    weight_decay: float = setting(0.01, "AdamW weight decay.", TRAINING, minimum=0.0)
    seed: int = setting(0, "Seed of the sample, the folds and the training.", TRAINING, minimum=0)

    device: str = setting(
        "auto", "auto, cpu, cuda or cuda:N. auto takes a GPU if there is one.", MACHINE
    )
    precision: str = setting(
        "auto",
        "Arithmetic under autocast. auto: bf16 or fp16 on a GPU; on a CPU bf16 for the text tower "
        "where the chip has it, fp32 for the image tower.",
        MACHINE,
        choices=("auto", "fp32", "bf16", "fp16"),
    )

    def __post_init__(self) -> None:
        validate(self)
