"""Time CLIP's towers at their true sizes, with random weights: a training step, or embedding.

python -m benchmarks.speed.clip_towers --size base-32|large-14 --what step|embed [--tune last:2]
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel

from benchmarks.command_line import run_command
from extract.config import ExtractConfig
from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import tokenise
from extract.folds.fold_assignment import Plan
from extract.towers.device import choose_machine
from extract.towers.encoders import load_image_encoder, load_text_encoder
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.trained_layers import set_trained_layers
from extract.training.embedding import embed_in_memory
from extract.training.training_loop import finetune

LARGE = {
    "projection_dim": 768,
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
    },
}
"""What CLIP ViT-L/14 has in place of the defaults of CLIPConfig, which are those of ViT-B/32."""

SIZES = {"base-32": {}, "large-14": LARGE}

WORDS = 20
"""Tokens per caption, about as many as real ones have."""


def main(
    size: Annotated[Literal["base-32", "large-14"], typer.Option(help="Which model.")] = "base-32",
    what: Annotated[Literal["step", "embed"], typer.Option(help="What is timed.")] = "embed",
    tune: Annotated[str, typer.Option(help="As --tune-image and --tune-text of extract.")] = "all",
    memes: Annotated[int, typer.Option(help="Memes to embed.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Memes per training step.")] = 32,
) -> None:
    """Print seconds and the peak memory of the process."""
    count = memes if what == "embed" else 3 * batch_size + 2
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Path(folder), SIZES[size])
        image = load_image_encoder(Path(folder))
        text = load_text_encoder(Path(folder), "checkpoint")
    machine = choose_machine("auto", "auto")
    model = JointModel(image, text, None, machine)
    inputs = made_up_inputs(model, count)
    if what == "embed":
        start = time.perf_counter()
        embed_in_memory(model, inputs)
        print(f"{size}: {count} memes embedded in {time.perf_counter() - start:.0f} s", end=", ")
    else:
        seconds = seconds_per_step(model, inputs, tune, batch_size)
        print(f"{size}, tune {tune}: a step of {batch_size} memes {seconds:.1f} s", end=", ")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB, {machine.describe()}")


def write_clip(folder: Path, settings: dict) -> None:
    """Write a CLIP with random weights, and a tokenizer of as many words as its own has."""
    torch.manual_seed(0)
    config = CLIPConfig(**settings)
    CLIPModel(config).save_pretrained(folder)
    count = config.text_config.vocab_size
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(count)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    first, last = config.text_config.bos_token_id, config.text_config.eos_token_id
    words.post_processor = processors.TemplateProcessing(
        single=f"w{first} $A w{last}", special_tokens=[(f"w{n}", n) for n in (first, last)]
    )
    words.save(str(folder / "tokenizer.json"))


def made_up_inputs(model: JointModel, count: int) -> Inputs:
    """Return distinct pictures of noise and distinct captions of random words."""
    rng, side = np.random.default_rng(0), model.image.input_size
    noise = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    every = np.arange(count)
    pictures = Pictures(noise, np.zeros(count, np.uint64), list(map(str, every)), every)
    captions = [" ".join(f"w{n}" for n in rng.integers(999, 9999, WORDS)) for _ in every]
    tokens = tokenise(captions, model.text.tokenizer, model.text.max_tokens, model.text.pad_id)
    return Inputs(pictures, tokens)


def seconds_per_step(model: JointModel, inputs: Inputs, tune: str, batch_size: int) -> float:
    """Time two training steps after a first one."""
    fusion = FUSIONS["interaction"](model.image.dim, model.text.dim)
    for tower in (model.image, model.text):
        set_trained_layers(tower, tune, "--tune")
    joint = JointModel(model.image, model.text, fusion, model.machine)
    every = np.arange(len(inputs))
    label, config = every % 2, ExtractConfig(epochs=1, batch_size=batch_size)

    def train(steps: int) -> float:
        fitted, evaluated = every < steps * batch_size, every >= len(inputs) - 2
        start = time.perf_counter()
        finetune(joint, inputs, label, Plan(fitted, evaluated, evaluated), config, seed=0)
        return time.perf_counter() - start

    one = train(1)
    return (train(3) - one) / 2


if __name__ == "__main__":
    run_command(main)
