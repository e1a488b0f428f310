"""Pairs in open_clip's layout embed as open_clip does, train, and are saved bit for bit.

The reference below has the names and the layers of open_clip 3.3.0, from its model.py and
transformer.py. Compared with open_clip itself, embeddings of both differ by less than 1e-5.
"""

import json
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import CLIPConfig, CLIPModel

from extract.data.tokenisation import tokenise
from extract.towers.device import choose_machine
from extract.towers.encoders import (
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from runtime.errors import UserError

WIDTH, EMBED, LENGTH, WORDS = 32, 12, 16, 120
VIT = {"image_size": 32, "patch_size": 16, "width": WIDTH, "head_width": 16, "layers": 2}
TIMM = {"timm_model_name": "test_vit", "timm_pool": "", "image_size": 160}
TEXT = {"context_length": LENGTH, "vocab_size": WORDS, "width": WIDTH, "heads": 2, "layers": 2}
SIGLIP = TEXT | {
    "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
}
PAIRS = {
    "clip": {"embed_dim": EMBED, "vision_cfg": VIT, "text_cfg": TEXT},
    "quickgelu": {"embed_dim": EMBED, "vision_cfg": VIT, "text_cfg": TEXT, "quick_gelu": True},
    "convnext": {
        "embed_dim": EMBED,
        "vision_cfg": TIMM | {"timm_model_name": "test_convnext", "timm_proj": "linear"},
        "text_cfg": TEXT | {"act_kwargs": {"approximate": "tanh"}},
    },
    "mobileclip": {
        "embed_dim": EMBED,
        "custom_text": True,
        "vision_cfg": TIMM | {"timm_pool": "token", "timm_proj": None},
        "text_cfg": TEXT,
    },
    "siglip": {
        "embed_dim": 64,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": TIMM | {"timm_pool": "token", "timm_proj": "none"},
        "text_cfg": SIGLIP,
    },
}
CAPTIONS = ["the cat", "a much longer caption, truncated by these small models", "dogs"]


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, heads, activation, eps):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH, eps), nn.LayerNorm(WIDTH, eps)
        self.attn = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        layers = nn.Linear(WIDTH, 4 * WIDTH), activation, nn.Linear(4 * WIDTH, WIDTH)
        self.mlp = nn.Sequential(OrderedDict(zip(("c_fc", "gelu", "c_proj"), layers, strict=True)))

    def forward(self, x, mask):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, *settings):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(*settings) for _ in range(2))

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Vit(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 16, 16, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn(5, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = Transformer(2, activation, 1e-5)
        self.proj = nn.Parameter(torch.randn(WIDTH, EMBED) / 6)

    def forward(self, pictures):
        x = self.conv1(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj


class TimmTower(nn.Module):
    def __init__(self, settings, embed_dim):
        super().__init__()
        projection = settings["timm_proj"]
        count = embed_dim if projection is None else 0
        self.trunk = timm.create_model(settings["timm_model_name"], num_classes=count)
        self.head = nn.Sequential()
        if projection == "linear":
            linear = nn.Linear(self.trunk.num_features, embed_dim, bias=False)
            self.head = nn.Sequential(OrderedDict(drop=nn.Dropout(0), proj=linear))

    def forward(self, pictures):
        return self.head(self.trunk(pictures))


class TextTower(nn.Module):
    def __init__(self, settings, embed_dim, activation):
        super().__init__()
        self.siglip = "proj_bias" in settings
        self.token_embedding = nn.Embedding(WORDS, WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(LENGTH, WIDTH))
        eps = 1e-6 if self.siglip else 1e-5
        self.transformer = Transformer(2, activation, eps)
        self.ln_final = nn.LayerNorm(WIDTH, eps)
        matrix = nn.Parameter(torch.randn(WIDTH, embed_dim) / 6)
        self.text_projection = nn.Linear(WIDTH, embed_dim) if self.siglip else matrix

    def forward(self, ids):
        x = self.token_embedding(ids) + self.positional_embedding
        causal = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)
        x = self.ln_final(self.transformer(x, None if self.siglip else causal))
        if self.siglip:
            return self.text_projection(x[:, -1])
        return x[torch.arange(len(x)), ids.argmax(1)] @ self.text_projection


class Pair(nn.Module):
    def __init__(self, settings):
        super().__init__()
        quick, vision = settings.get("quick_gelu"), settings["vision_cfg"]
        approximate = settings["text_cfg"].get("act_kwargs", {}).get("approximate", "none")
        activation = QuickGELU() if quick else nn.GELU(approximate)
        is_timm = "timm_model_name" in vision
        embed_dim = settings["embed_dim"]
        self.visual = TimmTower(vision, embed_dim) if is_timm else Vit(activation)
        self.text = TextTower(settings["text_cfg"], embed_dim, activation)
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.custom_text = settings.get("custom_text", False)

    def save(self, path):
        state = self.state_dict()
        if not self.custom_text:
            state = {name.removeprefix("text."): weight for name, weight in state.items()}
        save_file(state, path)


@pytest.fixture(scope="module")
def make_vocabulary(make_tokenizer):
    """f() -> a tokenizer in which the token that ends a caption has the largest number."""

    def make():
        text = make_tokenizer().to_str()
        settings = json.loads(text)
        words = settings["model"]["vocab"]
        words[f"word{WORDS}"], end = words["[SEP]"], WORDS - 1
        words["[SEP]"] = end
        settings["post_processor"]["sep"] = ["[SEP]", end]
        return Tokenizer.from_str(json.dumps(settings))

    return make


def write_pair(folder, settings, tokenizer):
    pair = Pair(settings).eval()
    # Random norms and biases, so that a weight in the wrong place is noticed.
    for weight in pair.parameters():
        weight.data += torch.randn_like(weight) / 10
    pair.save(folder / "open_clip_model.safetensors")
    siglip = settings["text_cfg"] is SIGLIP
    preprocessing = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    config = {"model_cfg": settings, "preprocess_cfg": preprocessing if siglip else {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    tokenizer.save(str(folder / "tokenizer.json"))
    token = {"pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(token))
    return pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, make_vocabulary):
    """f(kind) -> folder and reference of a tiny pair with random weights."""
    made = {}

    def make(kind):
        if kind not in made:
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = folder, write_pair(folder, PAIRS[kind], make_vocabulary())
        return made[kind]

    return make


@pytest.fixture
def change(pairs, tmp_path):
    """f(part, **settings) -> a folder of the pair "clip" with changed settings of that part."""

    def make(part, **settings):
        folder, _ = pairs("clip")
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        path = tmp_path / "open_clip_config.json"
        config = json.loads(path.read_text())
        changed = config["model_cfg"] if part == "model_cfg" else config["model_cfg"][part]
        changed |= settings
        path.write_text(json.dumps(config))
        return tmp_path

    return make


def batch_of(encoder, captions=CAPTIONS):
    tokens = tokenise(captions, encoder.tokenizer, encoder.max_tokens, encoder.pad_id)
    return tuple(map(torch.from_numpy, tokens.padded_batch(np.arange(len(captions)))))


@pytest.mark.parametrize("kind", PAIRS)
@torch.no_grad()
def test_both_towers_embed_as_open_clip(pairs, kind):
    folder, reference = pairs(kind)
    image, text = load_image_encoder(folder).eval(), load_text_encoder(folder, "auto").eval()
    size = PAIRS[kind]["vision_cfg"]["image_size"]
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    mean, std = (0.5, 0.5) if kind == "siglip" else (image.mean / 255, image.std / 255)
    wanted = reference.visual((pixels / 255 - mean) / std)
    assert image.input_size == size and image.dim == wanted.shape[1]
    assert torch.allclose(image(pixels), wanted, atol=1e-5)
    ids, mask = batch_of(text)
    padded = nn.functional.pad(ids, (0, LENGTH - ids.shape[1]))
    assert (text.pooling, text.max_tokens, text.pad_id) == ("projection", LENGTH, 0)
    assert torch.allclose(text(ids, mask), reference.text(padded), atol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_both_towers_train_and_are_saved_bit_for_bit(pairs, tmp_path, kind):
    folder, _ = pairs(kind)
    image, text = load_image_encoder(folder), load_text_encoder(folder, "checkpoint")
    model = JointModel(
        image, text, FUSIONS["linear"](image.dim, text.dim), choose_machine("cpu", "fp32")
    ).train()
    size = image.input_size
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    batch = batch_of(text, CAPTIONS[:2])
    (image(pixels).square().sum() + text(*batch).square().sum()).backward()
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    (tmp_path / "image").mkdir()
    save_image_encoder(image.eval(), tmp_path / "image")
    save_text_encoder(text.eval(), tmp_path / "text")
    loaded = load_image_encoder(tmp_path / "image").eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), image(pixels))
        assert torch.equal(load_text_encoder(tmp_path / "text", "projection")(*batch), text(*batch))
    assert torch.equal(loaded.mean, image.mean) and loaded.interpolation == image.interpolation
    assert (loaded.input_size, loaded.fixed_size) == (size, image.fixed_size)


@torch.no_grad()
def test_quick_gelu_is_not_gelu(pairs, change):
    folder, other = pairs("clip")[0], change("model_cfg", quick_gelu=True)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    found = [load_image_encoder(f).eval()(pixels) for f in (folder, other)]
    assert not torch.allclose(*found, atol=1e-3)
    text = [load_text_encoder(f, "auto").eval() for f in (folder, other)]
    assert not torch.allclose(*(encoder(*batch_of(encoder)) for encoder in text), atol=1e-3)


@pytest.mark.parametrize(
    ("clean", "wanted"),
    [
        ("canonicalize", "dont lookat this it s a trap"),
        ("lower", 'don\'t look-at this: "it_s a trap"'),
        ("whitespace", 'don\'t look-at this: "it_s a trap"'),
    ],
)
def test_captions_are_cleaned_as_by_open_clip(change, tmp_path, clean, wanted):
    encoder = load_text_encoder(change("text_cfg", tokenizer_kwargs={"clean": clean}), "auto")
    save_text_encoder(encoder, tmp_path / "saved")
    saved = load_text_encoder(tmp_path / "saved", "auto")
    caption = "  Don\u2019t look-at\n\t this: \u201cit_s a trap\u201d"
    for normalizer in (encoder.tokenizer.normalizer, saved.tokenizer.normalizer):
        # The tiny tokenizer lowers by itself.
        assert normalizer.normalize_str(caption) == wanted


@pytest.mark.parametrize(
    ("part", "settings", "named"),
    [
        ("model_cfg", {"multimodal_cfg": {"width": 8}}, "multimodal_cfg = {'width': 8}"),
        ("vision_cfg", {"attentional_pool": True}, "attentional_pool = True"),
        ("vision_cfg", {"pool_type": "avg"}, "pool_type = avg"),
        ("vision_cfg", {"no_ln_pre": True}, "no_ln_pre = True"),
        ("vision_cfg", {"ls_init_value": 1e-4}, "ls_init_value = 0.0001"),
        (
            "vision_cfg",
            {"layers": [3, 4, 6, 3]},
            "a ResNet",
        ),
        ("vision_cfg", {"image_size": [32, 64]}, r"image_size = \[32, 64\]"),
        ("vision_cfg", TIMM | {"timm_proj": "mlp"}, "width = 32, .* in vision_cfg"),
        ("vision_cfg", {"act_kwargs": {"other": 1}}, "'other': 1"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name = roberta-base"),
        ("text_cfg", {"pool_type": "eos"}, "pool_type = eos"),
        ("text_cfg", {"no_causal_mask": True}, "no_causal_mask = True"),
        ("text_cfg", {"embed_cls": True}, "embed_cls = True"),
        ("text_cfg", {"tokenizer_mode": "clips"}, "tokenizer_mode = clips"),
        ("text_cfg", {"tokenizer_kwargs": {"strip_sep_token": True}}, "strip_sep_token"),
        ("text_cfg", {"tokenizer_kwargs": {"clean": "other"}}, "'clean': 'other'"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(change, part, settings, named):
    folder = change(part, **settings)
    with pytest.raises(UserError, match=f"open_clip_config.json: found .*{named}.*cannot be"):
        load_image_encoder(folder)
        load_text_encoder(folder, "auto")


@pytest.mark.parametrize(
    ("vision", "named"),
    [
        ({"timm_proj": "mlp"}, "timm_proj = mlp"),
        ({"timm_model_name": "hf-hub:timm/other"}, "timm_model_name = hf-hub:timm/other"),
        ({"timm_proj": "linear", "timm_pool": "rot_attn"}, "timm_pool = rot_attn"),
        ({"timm_proj": "linear", "timm_pool": "avg"}, "timm_pool = avg"),
    ],
)
def test_other_heads_of_timm_are_refused_by_name(change, vision, named):
    with pytest.raises(UserError, match=f"found .*{named}.* in vision_cfg, which cannot be"):
        load_image_encoder(change("model_cfg", vision_cfg=TIMM | vision))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text_projection", r"lacks text_projection\.weight"),
        ("visual.ln_post.weight", r"lacks vision_model\.post_layernorm\.weight"),
        (None, "has no weight "),
    ],
)
def test_missing_and_unknown_weights_are_not_ignored(change, name, message):
    folder = change("model_cfg")
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    if name:
        del weights[name]
    else:
        weights["visual.transformer.resblocks.0.ls_1.gamma"] = torch.ones(WIDTH)
    save_file(weights, path)
    with pytest.raises(UserError, match=f"cannot convert open_clip_config.json.*{message}"):
        load_image_encoder(folder)
        load_text_encoder(folder, "auto")


def test_pickled_weights_alone_are_refused(change):
    folder = change("model_cfg")
    weights = folder / "open_clip_model.safetensors"
    weights.rename(folder / "open_clip_pytorch_model.bin")
    for load in (load_image_encoder, lambda path: load_text_encoder(path, "auto")):
        with pytest.raises(UserError, match=r"lacks open_clip_model\.safetensors.*pytorch_model"):
            load(folder)


@pytest.mark.parametrize("content", ["no JSON", "{}", '{"model_cfg": null}'])
def test_damaged_configuration_is_a_user_error(change, content):
    folder = change("model_cfg")
    (folder / "open_clip_config.json").write_text(content)
    with pytest.raises(UserError, match=r"open_clip_config\.json"):
        load_image_encoder(folder)


def test_of_two_layouts_that_of_transformers_is_used(change):
    folder = change("model_cfg")
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2}
    text, vision = small | {"vocab_size": WORDS}, small | {"image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=7)
    CLIPModel(config).save_pretrained(folder)
    assert load_image_encoder(folder).dim == load_text_encoder(folder, "auto").dim == 7


def test_image_tower_alone_in_timms_layout_does_not_replace_half_of_a_pair(change):
    folder = change("model_cfg")
    timm.models.save_for_hf(timm.create_model("test_vit"), folder, safe_serialization=True)
    assert load_image_encoder(folder).dim == load_text_encoder(folder, "auto").dim == EMBED
