"""Profile a training step: milliseconds of each part, on made-up memes.

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

from benchmarks.command_line import run_command
from extract.config import ExtractConfig
from extract.spaces.fine_tuned import freeze_token_embeddings
from extract.towers.device import choose_machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import load_backbones
from extract.training.augmentation import augment
from extract.training.optimizer_step import MAX_GRADIENT_NORM
from extract.training.training_loop import parameter_groups

WARM_UP = 4
"""Steps that are not counted."""


class Clock:
    """Record the seconds since the previous call under a name."""

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
    tokens: Annotated[int, typer.Option(help="Tokens per caption.")] = 24,
    batch_size: Annotated[int, typer.Option(help="Memes per step.")] = 32,
    precision: Annotated[str, typer.Option(help="As for extract.")] = "auto",
    words: Annotated[
        Literal["freeze", "train"], typer.Option(help="Freeze or train the token embeddings.")
    ] = "freeze",
    steps: Annotated[int, typer.Option(help="Steps to take the median of.")] = 20,
) -> None:
    """Print the median time of each part of a training step."""
    machine = choose_machine("auto", precision)
    both = load_backbones("bundled", None, None, "mean")
    if words == "freeze":
        freeze_token_embeddings(both.text)
    fusion = FUSIONS["interaction"](both.image.dim, both.text.dim)
    model = JointModel(both.image, both.text, fusion, machine)
    clock = Clock()
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, 3, image_size, image_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    ids = torch.randint(1000, 20000, (batch_size, tokens), generator=generator)
    target = torch.randint(0, 2, (batch_size,), generator=generator).float().to(machine.device)
    optimizer = AdamW(parameter_groups(model, ExtractConfig()), fused=True)
    model.train()
    for _ in range(WARM_UP + steps):
        training_step(model, optimizer, (pixels, ids, target, generator), clock)
    table = Table(title=f"{machine.describe()}, {torch.get_num_threads()} threads")
    table.add_column("part of a step")
    table.add_column("ms", justify="right")
    total = 0.0
    for name, seconds in clock.seconds.items():
        milliseconds = float(np.median(seconds[WARM_UP:])) * 1e3
        total += milliseconds
        table.add_row(name, f"{milliseconds:.1f}")
    table.add_row("total", f"{total:.1f}")
    table.add_row("memes per second", f"{batch_size / total * 1e3:.1f}")
    Console(width=80).print(table)


def training_step(
    model: JointModel,
    optimizer: AdamW,
    batch: tuple[Tensor, Tensor, Tensor, torch.Generator],
    clock: Clock,
) -> None:
    """Same step as in `extract.training.training_loop`, but with a backward pass for each part."""
    pixels, ids, target, generator = batch
    clock("between steps")
    augmented = augment(pixels, generator)
    clock("augmentation")
    image = model.embed_image(augmented)
    clock("image forward")
    text = model.embed_text(ids, torch.ones_like(ids))
    clock("text forward")
    loss = binary_cross_entropy_with_logits(model.fusion(image, text), target)
    optimizer.zero_grad(set_to_none=True)
    image_grad, text_grad = torch.autograd.grad(loss, [image, text], retain_graph=True)
    clock("fusion")
    image.backward(image_grad)
    clock("image backward")
    text.backward(text_grad)
    clock("text backward")
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    clock("gradient clipping")
    optimizer.step()
    clock("AdamW")


if __name__ == "__main__":
    run_command(main)
