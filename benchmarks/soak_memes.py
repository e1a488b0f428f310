"""Write the input of the soak benchmark: made-up memes and tiny backbones with random weights."""

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
"""Splits of consecutive memes, repeated."""
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TONES = ("kind", "mean")
SYLLABLES = [*map("".join, product("bdfghjklmnprstvz", "aeio"))]
WORDS = [*map("".join, product(SYLLABLES, SYLLABLES))]


def write_memes(folder: Path, count: int) -> None:
    """Write `count` memes to `folder`: one CSV per split, and distinct pictures in img/.

    The label is 1 if the caption is "mean" and the picture reddish, or neither; a fifth of the
    labels are random. Every tenth meme repeats the caption of the previous one.
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
                tone, text = rng.integers(0, 2), caption(rng)
            reddish = rng.integers(0, 2)
            label = rng.integers(0, 2) if rng.random() < 0.2 else reddish == tone
            name = f"img/{number}.png"
            picture(rng, reddish).save(folder / name, compress_level=1)
            row = (number, name, f"{TONES[tone]} {text}", int(label))
            tables[SPLITS[number % len(SPLITS)]].writerow(row)


def caption(rng: np.random.Generator) -> str:
    """Draw 5 to 15 words; the most frequent one makes up 6 % of all, like "the" in English."""
    indices = len(WORDS) * rng.random(rng.integers(5, 16)) ** 3
    return " ".join(WORDS[int(index)] for index in indices)


def picture(rng: np.random.Generator, reddish: bool) -> Image.Image:
    """Draw a blur of 64 random colours. Perceptual hashes of such pictures are far apart."""
    colours = rng.integers(0, 200, (8, 8, 3))
    colours[..., 0] += 55 * reddish
    return Image.fromarray(colours.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def write_weights(folder: Path) -> None:
    """Write image/ and text/ with random weights.

    They are timm's smallest EfficientNet (256-d) and a DistilBERT of two layers (32-d).
    """
    torch.manual_seed(0)
    vocabulary = {word: number for number, word in enumerate((*SPECIAL_TOKENS, *TONES, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = [(token, vocabulary[token]) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*tokens)
    shape = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
    config = DistilBertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **shape)
    (folder / "image").mkdir(parents=True)
    image = timm.create_model("test_efficientnet", num_classes=0)
    save_image_encoder(ImageEncoder(image), folder / "image")
    save_text_encoder(TextEncoder(DistilBertModel(config), tokenizer, "mean"), folder / "text")
