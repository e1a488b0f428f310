"""The parts of the reference: a data set that decodes as it goes, the joint model, its training."""

import time

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, InterpolationMode, PILToTensor, Resize

from extract.towers.pretrained_weights import Backbones
from runtime.errors import UserError
from runtime.progress import log, progress

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
AMP = DEVICE.type == "cuda"
"""float16 under autocast, with a GradScaler; a CPU computes in float32."""


class Memes(Dataset):
    """Rows of a MemeTable; a picture is decoded and a caption tokenised whenever it is asked for.

    `pad` is `fixed`, for captions padded to `max_tokens`, or `longest`, for each batch's longest.
    """

    def __init__(
        self, rows: pd.DataFrame, backbones: Backbones, image_size: int, max_tokens: int, pad: str
    ) -> None:
        self.rows = rows[["image", "caption"]].to_numpy()
        self.labels = rows["label"].to_numpy(dtype=np.float32)
        # Squashed and not cropped: captions run along the borders. Not augmented either: mirrored
        # or cut, the words in a picture are no longer words.
        interpolation = InterpolationMode(backbones.image.interpolation)
        self.transform = Compose([Resize((image_size, image_size), interpolation), PILToTensor()])
        self.tokenizer, self.pad_id = backbones.text.tokenizer, backbones.text.pad_id
        limit = min(max_tokens, backbones.text.max_tokens)
        self.tokenizer.enable_truncation(limit)
        if pad == "fixed":
            self.tokenizer.enable_padding(length=limit, pad_id=self.pad_id)
        else:
            self.tokenizer.no_padding()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor, Tensor, float]:
        path, caption = self.rows[place]
        with Image.open(path) as picture:
            pixels = self.transform(picture.convert("RGB"))
        tokens = self.tokenizer.encode(caption)
        ids, mask = torch.tensor(tokens.ids), torch.tensor(tokens.attention_mask)
        return pixels, ids, mask, self.labels[place]

    def collate(self, items: list[tuple[Tensor, Tensor, Tensor, float]]) -> tuple[Tensor, ...]:
        """Pixels uint8 (B, 3, S, S), ids and mask int64 (B, L), targets float32 (B,)."""
        pixels, ids, masks, labels = zip(*items, strict=True)
        ids = pad_sequence(ids, batch_first=True, padding_value=self.pad_id)
        masks = pad_sequence(masks, batch_first=True)
        return torch.stack(pixels), ids, masks, torch.tensor(labels)


def make_loader(memes: Memes, batch_size: int, workers: int, train: bool) -> DataLoader:
    """Batches of `memes`, shuffled for training."""
    return DataLoader(
        memes,
        batch_size,
        shuffle=train,
        collate_fn=memes.collate,
        # Batch normalisation cannot take a last batch of one meme.
        drop_last=train and len(memes) % batch_size == 1,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=AMP,
    )


class Recipe(nn.Module):
    """Picture and caption -> logit, by one linear layer on both pooled embeddings."""

    def __init__(self, backbones: Backbones) -> None:
        super().__init__()
        self.image, self.text = backbones.image, backbones.text
        self.head = nn.Linear(self.image.dim + self.text.dim, 1)

    def forward(self, *inputs: Tensor) -> Tensor:
        pixels, ids, mask = (part.to(DEVICE, non_blocking=True) for part in inputs)
        with torch.autocast(DEVICE.type, torch.float16, enabled=AMP):
            # Normalised as its backbone was trained; our own encoder would also change the memory
            # format, which is not in the recipe.
            image = self.image.backbone((pixels.float() - self.image.mean) / self.image.std)
            embedding = torch.cat([image, self.text(ids, mask)], dim=1)
            return self.head(embedding).squeeze(1).float()


def train_epoch(
    model: Recipe, loader: DataLoader, optimizer: AdamW, scaler: torch.amp.GradScaler, name: str
) -> float:
    """One pass over the loader; returns the mean loss of its batches."""
    model.train()
    total = torch.zeros((), device=DEVICE)
    with progress(name, len(loader.dataset), "memes") as advance:
        for *inputs, targets in loader:
            loss = binary_cross_entropy_with_logits(model(*inputs), targets.to(DEVICE))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            total += loss.detach()
            advance(len(targets))
    return total.item() / len(loader)


@torch.inference_mode()
def predict(model: Recipe, loader: DataLoader) -> Tensor:
    """Logits of the loader's memes, in order: float64 (N,)."""
    model.eval()
    return torch.cat([model(*inputs) for *inputs, _ in loader]).double().cpu()


def make_optimizer(model: Recipe, lr: float, lr_head: float) -> tuple[AdamW, torch.amp.GradScaler]:
    """AdamW with a rate for both backbones and one for the head, and what scales float16."""
    backbones = [*model.image.parameters(), *model.text.parameters()]
    groups = [{"params": backbones}, {"params": model.head.parameters(), "lr": lr_head}]
    return AdamW(groups, lr=lr), torch.amp.GradScaler(DEVICE.type, enabled=AMP)


def fit(
    model: Recipe, train: DataLoader, val: DataLoader, epochs: int, lr: float, lr_head: float
) -> list[dict[str, float]]:
    """Train for all epochs and leave the model at the one with the lowest loss on val.

    Returns one dict an epoch: epoch, train_loss, val_loss, train_seconds, val_seconds.
    """
    optimizer, scaler = make_optimizer(model, lr, lr_head)
    plateau = ReduceLROnPlateau(optimizer, factor=0.3, patience=1)
    targets = torch.from_numpy(val.dataset.labels).double()
    history, best, lowest = [], None, np.inf
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(model, train, optimizer, scaler, f"epoch {epoch}")
        trained = time.perf_counter()
        val_loss = binary_cross_entropy_with_logits(predict(model, val), targets).item()
        seconds = {"train_seconds": trained - start, "val_seconds": time.perf_counter() - trained}
        history.append({"epoch": epoch, "train_loss": loss, "val_loss": val_loss, **seconds})
        log(f"epoch {epoch}: loss {loss:.4f}, val loss {val_loss:.4f}")
        plateau.step(val_loss)
        if val_loss < lowest:
            best = {name: value.cpu().clone() for name, value in model.state_dict().items()}
            lowest = val_loss
    if best is None:
        raise UserError("training diverged: no epoch has a finite loss on val. Lower --lr.")
    model.load_state_dict(best)
    return history
