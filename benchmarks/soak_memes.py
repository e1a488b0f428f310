"""What the soak runs on: any number of made-up memes, and tiny backbones with random weights."""

import csv
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertModel

from extract.towers.encoders import ImageEncoder, TextEncoder, save_image_encoder, save_text_encoder

SIZE = 64
SPLITS = ("train",) * 7 + ("val",) + ("test",) * 2
"""Meme by meme in turn."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIDES = ("kind", "mean")
SYLLABLES = [*map("".join, product("bdfghjklmnprstvz", "aeio"))]
WORDS = [*map("".join, product(SYLLABLES, SYLLABLES))]


def write_memes(folder: Path, count: int) -> None:
    """Write a CSV a split and `count` distinct pictures into `folder`, one meme after the other.

    Mean is a "mean" caption over a reddish picture, or neither, with a fifth of the labels drawn.
    Every tenth meme repeats the caption of the one before.
    """
    rng = np.random.default_rng(0)
    (folder / "img").mkdir(parents=True)
    with ExitStack() as stack:
        tables = {}
        for split in dict.fromkeys(SPLITS):
            file = stack.enter_context((folder / f"{split}.csv").open("w", newline=""))
            tables[split] = csv.writer(file)
            tables[split].writerow(("id", "img", "text", "label"))
        for number in range(count):
            if number % 10 < 9:
                said, text = rng.integers(0, 2), caption(rng)
            reddish = rng.integers(0, 2)
            label = rng.integers(0, 2) if rng.random() < 0.2 else reddish == said
            name = f"img/{number}.png"
            picture(rng, reddish).save(folder / name, compress_level=1)
            row = (number, name, f"{SIDES[said]} {text}", int(label))
            tables[SPLITS[number % len(SPLITS)]].writerow(row)


def caption(rng: np.random.Generator) -> str:
    """5 to 15 words, the commonest of which make up 6 % as "the" does: neighbours share pairs."""
    places = len(WORDS) * rng.random(rng.integers(5, 16)) ** 3
    return " ".join(WORDS[int(place)] for place in places)


def picture(rng: np.random.Generator, reddish: bool) -> Image.Image:
    """A blur of 64 random colours, whose perceptual hash no other picture comes near."""
    colours = rng.integers(0, 200, (8, 8, 3))
    colours[..., 0] += 55 * reddish
    return Image.fromarray(colours.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def write_weights(folder: Path) -> None:
    """Write image/ and text/: timm's smallest EfficientNet, 256-d, and a DistilBERT of two layers,
    32-d."""
    torch.manual_seed(0)
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *SIDES, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(word, vocabulary[word]) for word in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    shape = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
    config = DistilBertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **shape)
    (folder / "image").mkdir(parents=True)
    image = timm.create_model("test_efficientnet", num_classes=0)
    save_image_encoder(ImageEncoder(image), folder / "image")
    save_text_encoder(TextEncoder(DistilBertModel(config), tokenizer, "mean"), folder / "text")
