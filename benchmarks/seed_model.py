"""The baseline's data set, model and training loop (see `seed_recipe`)."""

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


class MemeDataset(Dataset):
    """Rows of a MemeTable. Pictures are decoded and captions tokenised on access.

    `pad` is `fixed` to pad captions to `max_tokens`, or `longest` to pad to the batch's longest.
    """

    def __init__(
        self, rows: pd.DataFrame, backbones: Backbones, image_size: int, max_tokens: int, pad: str
    ) -> None:
        self.rows = rows[["image", "caption"]].to_numpy()
        self.labels = rows["label"].to_numpy(dtype=np.float32)
        # Resized without cropping, because captions run along the borders. No augmentation: text in
        # a picture becomes illegible when mirrored or cut.
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

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
        path, caption = self.rows[index]
        with Image.open(path) as picture:
            pixels = self.transform(picture.convert("RGB"))
        tokens = self.tokenizer.encode(caption)
        ids, mask = torch.tensor(tokens.ids), torch.tensor(tokens.attention_mask)
        return pixels, ids, mask, self.labels[index]

    def collate(self, items: list[tuple[Tensor, Tensor, Tensor, float]]) -> tuple[Tensor, ...]:
        """Return pixels uint8 (B, 3, S, S), ids and mask int64 (B, L), targets float32 (B,)."""
        pixels, ids, masks, labels = zip(*items, strict=True)
        ids = pad_sequence(ids, batch_first=True, padding_value=self.pad_id)
        masks = pad_sequence(masks, batch_first=True)
        return torch.stack(pixels), ids, masks, torch.tensor(labels)


def make_loader(memes: MemeDataset, batch_size: int, workers: int, train: bool) -> DataLoader:
    """Return a DataLoader, shuffled if `train`."""
    return DataLoader(
        memes,
        batch_size,
        shuffle=train,
        collate_fn=memes.collate,
        # Batch normalisation cannot handle a last batch of one meme.
        drop_last=train and len(memes) % batch_size == 1,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=AMP,
    )


class BaselineModel(nn.Module):
    """One linear layer on the concatenated embeddings of both backbones; returns logits (B,)."""

    def __init__(self, backbones: Backbones) -> None:
        super().__init__()
        self.image, self.text = backbones.image, backbones.text
        self.head = nn.Linear(self.image.dim + self.text.dim, 1)

    def forward(self, *inputs: Tensor) -> Tensor:
        pixels, ids, mask = (part.to(DEVICE, non_blocking=True) for part in inputs)
        with torch.autocast(DEVICE.type, torch.float16, enabled=AMP):
            # Normalised as in pretraining. Not through ImageEncoder, which would also change the
            # memory format, an optimisation that the baseline lacks.
            image = self.image.backbone((pixels.float() - self.image.mean) / self.image.std)
            embedding = torch.cat([image, self.text(ids, mask)], dim=1)
            return self.head(embedding).squeeze(1).float()


def train_epoch(
    model: BaselineModel,
    loader: DataLoader,
    optimizer: AdamW,
    scaler: torch.amp.GradScaler,
    name: str,
) -> float:
    """Train for one epoch; return the mean loss of the batches."""
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
def predict(model: BaselineModel, loader: DataLoader) -> Tensor:
    """Return the logits of the loader's memes in order: float64 (N,)."""
    model.eval()
    return torch.cat([model(*inputs) for *inputs, _ in loader]).double().cpu()


def make_optimizer(
    model: BaselineModel, lr: float, lr_head: float
) -> tuple[AdamW, torch.amp.GradScaler]:
    """AdamW with separate learning rates for backbones and head, and the float16 GradScaler."""
    backbones = [*model.image.parameters(), *model.text.parameters()]
    groups = [{"params": backbones}, {"params": model.head.parameters(), "lr": lr_head}]
    return AdamW(groups, lr=lr), torch.amp.GradScaler(DEVICE.type, enabled=AMP)


def fit(
    model: BaselineModel, train: DataLoader, val: DataLoader, epochs: int, lr: float, lr_head: float
) -> list[dict[str, float]]:
    """Train for all epochs; leave the model with the weights of the lowest val loss.

    Return one dict per epoch: epoch, train_loss, val_loss, train_seconds, val_seconds.
    """
    optimizer, scaler = make_optimizer(model, lr, lr_head)
    plateau = ReduceLROnPlateau(optimizer, factor=0.3, patience=1)
    targets = torch.from_numpy(val.dataset.labels).double()
    history, best_state, lowest = [], None, np.inf
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
            best_state = {name: value.cpu().clone() for name, value in model.state_dict().items()}
            lowest = val_loss
    if best_state is None:
        raise UserError("training diverged: no epoch has a finite val loss. Pass a lower --lr.")
    model.load_state_dict(best_state)
    return history
