"""Ranks as torchrun starts them, but forked from one process that has imported all libraries.

A script that forked_commands.py runs. Its argument is a folder that holds config.json. Each job
gets a folder in it, with its results and the stderr of each rank; codes.json maps each job to the
exit codes of its ranks.
"""

import json
import os
import socket
import sys
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits

from extract.config import ExtractConfig
from extract.run import extract
from extract.spaces import fine_tuned
from extract.spaces.run_setup import load_setup
from extract.towers.device import choose_machine
from extract.towers.fusion import Fusion
from extract.towers.joint_model import JointModel
from extract.training import distributed
from extract.training.training_loop import _distribute


def extract_run(config: ExtractConfig, folder: Path) -> None:
    extract(config, folder / "run")


def extract_run_without_rank_1(config: ExtractConfig, folder: Path) -> None:
    def fail(*_):
        raise SystemExit("rank 1 has no memory left")

    if distributed.rank() == 1:
        fine_tuned.finetune = fail
    extract(config, folder / "run")


def save_gradients(config: ExtractConfig, folder: Path) -> None:
    """Write the gradients of 15 memes, which the ranks share unevenly."""
    machine = choose_machine("cpu", "fp32")
    with distributed.process_group(machine.device):
        setup = load_setup(config, machine, folder / "run")
        image, text = setup.backbones.image, setup.backbones.text
        torch.manual_seed(0)
        model = JointModel(image, text, Fusion(image.dim, text.dim), machine).train()
        rows = setup.rows.labelled.nonzero()[0][:15]
        of_this_rank = rows[distributed.rank() :: distributed.world()]
        inputs, target = setup.data.inputs, torch.from_numpy(setup.rows.label[of_this_rank]).float()
        wrapped_model = _distribute(model)
        logits = wrapped_model(inputs.pixels(of_this_rank), *inputs.tokens(of_this_rank))
        loss = binary_cross_entropy_with_logits(logits, target, reduction="sum")
        (loss * distributed.world() / len(rows)).backward()
        found = {name: value.grad for name, value in model.named_parameters()}
        if distributed.first():
            save_file({k: v.contiguous() for k, v in found.items()}, folder / "gradients")


JOBS = {
    "two ranks": (extract_run, 2),
    "gradients of 1": (save_gradients, 1),
    "gradients of 2": (save_gradients, 2),
    "rank that exits": (extract_run_without_rank_1, 2),
}
"""What runs, and in how many ranks."""


def main(folder: Path) -> None:
    """Run every job on its own folder in `folder`."""
    config = ExtractConfig(**json.loads((folder / "config.json").read_text()))
    codes = {}
    for name, (job, world) in JOBS.items():
        (folder / name).mkdir()
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(), "WORLD_SIZE": str(world)}
        ranks = [
            get_context("fork").Process(
                target=_run_rank, args=(job, config, folder / name, str(rank), shared)
            )
            for rank in range(world)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(100)
            rank.kill()
            rank.join()
        codes[name] = [rank.exitcode for rank in ranks]
    (folder / "codes.json").write_text(json.dumps(codes))


def _run_rank(job, config: ExtractConfig, folder: Path, rank: str, shared: dict) -> None:
    os.environ.update(shared, RANK=rank, LOCAL_RANK=rank)
    os.dup2(os.open(folder / f"{rank}.err", os.O_WRONLY | os.O_CREAT), 2)
    job(config, folder)


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
