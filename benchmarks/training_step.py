"""Where the time of a training step goes: milliseconds of each of its parts, on made-up memes.

python -m benchmarks.training_step [--image-size 64] [--precision auto] [--words train]
"""

import time
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel

from extract.config import ExtractConfig
from extract.spaces.fine_tuned import freeze_words
from extract.towers.device import choose_machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import load_backbones
from extract.training.augmentation import augment
from extract.training.optimizer_step import MAX_GRADIENT_NORM
from extract.training.training_loop import moving_average, parameter_groups

WARM_UP = 4


class Clock:
    """Seconds between calls, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.last = time.perf_counter()

    def __call__(self, name: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds.setdefault(name, []).append(now - self.last)
        self.last = time.perf_counter()


def main(
    image_size: Annotated[int, typer.Option(help="Side of the pictures, in pixels.")] = 64,
    tokens: Annotated[int, typer.Option(help="Of each caption.")] = 24,
    batch_size: Annotated[int, typer.Option(help="Memes in a step.")] = 32,
    precision: Annotated[str, typer.Option(help="As for extract.")] = "auto",
    words: Annotated[
        Literal["freeze", "train"], typer.Option(help="What is done to word embeddings.")
    ] = "freeze",
    steps: Annotated[int, typer.Option(help="Of which medians are taken.")] = 20,
) -> None:
    """Print a table."""
    machine = choose_machine("auto", precision)
    both = load_backbones("bundled", None, None, "mean")
    if words == "freeze":
        freeze_words(both.text)
    fusion = FUSIONS["interaction"](both.image.dim, both.text.dim)
    model = JointModel(both.image, both.text, fusion, machine)
    clock = Clock()
    drawn = torch.Generator().manual_seed(0)
    shape = (batch_size, 3, image_size, image_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=drawn)
    ids = torch.randint(1000, 20000, (batch_size, tokens), generator=drawn)
    target = torch.randint(0, 2, (batch_size,), generator=drawn).float().to(machine.device)
    optimizer = AdamW(parameter_groups(model, ExtractConfig()), fused=True)
    average = AveragedModel(model, multi_avg_fn=moving_average, use_buffers=True)
    model.train()
    for _ in range(WARM_UP + steps):
        take_step(model, optimizer, average, (pixels, ids, target, drawn), clock)
    table = Table(title=f"{machine.describe()}, {torch.get_num_threads()} threads")
    table.add_column("part of a step")
    table.add_column("ms", justify="right")
    total = 0.0
    for name, seconds in clock.seconds.items():
        taken = float(np.median(seconds[WARM_UP:])) * 1e3
        total += taken
        table.add_row(name, f"{taken:.1f}")
    table.add_row("all", f"{total:.1f}")
    table.add_row("memes per second", f"{batch_size / total * 1e3:.1f}")
    Console(width=80).print(table)


def take_step(
    model: JointModel,
    optimizer: AdamW,
    average: AveragedModel,
    batch: tuple[Tensor, Tensor, Tensor, torch.Generator],
    clock: Clock,
) -> None:
    """As `extract.training.training_loop` takes it, but with a backward pass for each part."""
    pixels, ids, target, drawn = batch
    clock("between steps")
    views = augment(pixels, drawn)
    clock("views")
    image = model.embed_image(views)
    clock("image forward")
    text = model.embed_text(ids, torch.ones_like(ids))
    clock("text forward")
    loss = binary_cross_entropy_with_logits(model.fusion(image, text), target)
    optimizer.zero_grad(set_to_none=True)
    to_image, to_text = torch.autograd.grad(loss, [image, text], retain_graph=True)
    clock("fusion")
    image.backward(to_image)
    clock("image backward")
    text.backward(to_text)
    clock("text backward")
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    clock("clip")
    optimizer.step()
    clock("AdamW")
    average.update_parameters(model)
    clock("moving average")


if __name__ == "__main__":
    typer.run(main)
