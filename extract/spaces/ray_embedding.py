"""Embed with Ray: each process has the model and all inputs, and embeds blocks of rows.

An embedding depends on its meme alone (see `extract.training.embedding`), so the blocks give the
same bits as one process, on machines that round alike and with an equal number of threads.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors.numpy import load, save

from extract.data.batches import Inputs
from extract.spaces.model_files import save_model
from extract.towers.device import Machine
from extract.towers.encoders import load_image_encoder, load_text_encoder
from extract.towers.fusion import Fusion
from extract.towers.joint_model import JointModel
from extract.training.embedding import Embed, Read, Write, embed_in_memory
from runtime.cluster.engine_config import RAY, EngineConfig
from runtime.cluster.ray_workers import MAX_DEATHS, answers_of_workers
from runtime.errors import UserError
from runtime.progress import progress

BLOCK_ROWS = 1024


class SentModel(NamedTuple):
    """A model as the files that `save_model` writes: towers that have run cannot be pickled."""

    files: dict[str, bytes]
    fusion: Fusion | None
    pooling: str
    least_image_size: int
    machine: Machine

    @classmethod
    def pack(cls, model: JointModel) -> Self:
        """Return what `load` needs."""
        with tempfile.TemporaryDirectory() as name:
            save_model(model, folder := Path(name))
            paths = [path for path in folder.rglob("*") if path.is_file()]
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        pooling = model.text.pooling if model.text else ""
        size = model.image.min_size if model.image else 0
        fusion = model.fusion and copy.deepcopy(model.fusion).cpu()
        return cls(files, fusion, pooling, size, model.machine)

    def load(self) -> JointModel:
        """Return the model, on its device."""
        image = text = None
        with tempfile.TemporaryDirectory() as name:
            for path, content in self.files.items():
                (Path(name) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(name) / path).write_bytes(content)
            if (folder := Path(name) / "image").is_dir():
                image = load_image_encoder(folder)
                image.min_size = self.least_image_size
            if (folder := Path(name) / "text").is_dir():
                text = load_text_encoder(folder, self.pooling)
        return JointModel(image, text, self.fusion, self.machine)


def choose_embed(config: EngineConfig) -> Embed | None:
    """Return what embeds elsewhere, if `config` says so."""
    return embed_with_ray(config.workers) if config.engine == RAY else None


def embed_with_ray(workers: int | None) -> Embed:
    """Return a function like `embed` that divides the rows among `workers` processes."""

    def embed(model: JointModel, inputs: Inputs, write: Write, read: Read) -> None:
        blocks = -(-len(inputs) // BLOCK_ROWS)
        arguments = SentModel.pack(model), replace(inputs, gpu_pixels=None)
        missing = set(range(blocks))
        on_gpus = model.machine.device.type == "cuda"
        with progress("embed", len(inputs), "memes") as advance:
            for answer in answers_of_workers(make_embedder, arguments, blocks, workers, on_gpus):
                arrays = load(answer)
                rows = arrays.pop("rows")
                for name, values in arrays.items():
                    write(name, rows, values)
                missing.remove(rows[0] // BLOCK_ROWS)
                advance(len(rows))
        if missing:
            raise UserError(
                f"Ray lost {len(missing)} of {blocks} blocks of {BLOCK_ROWS} memes: {MAX_DEATHS} "
                "processes died of each, perhaps for lack of memory. Use fewer --workers, or none: "
                "omit --engine ray."
            )

    return embed


def make_embedder(sent: SentModel, inputs: Inputs) -> Callable[[int], bytes]:
    """Return f(number of a block) -> its embeddings and `rows`, as safetensors."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    model = sent.load()

    def embed_block(number: int) -> bytes:
        rows = np.arange(len(inputs))[number * BLOCK_ROWS :][:BLOCK_ROWS]
        return save({"rows": rows, **embed_in_memory(model, inputs.subset(rows))})

    return embed_block
