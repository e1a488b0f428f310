"""Tiny models of many kinds with random weights, as their libraries save them."""

import timm
import torch
import transformers

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
LAYERS = {"num_hidden_layers": 2, "vocab_size": 120}
ROBERTA = {**SMALL, **LAYERS, "max_position_embeddings": 34, "pad_token_id": 1}
BERT = {**SMALL, **LAYERS, "max_position_embeddings": 40}
VISION = {**SMALL, "num_hidden_layers": 2, "image_size": 32, "patch_size": 16}
# [SEP] ends a caption.
CLIP = {**SMALL, **LAYERS, "max_position_embeddings": 21, "eos_token_id": 3, "bos_token_id": 2}
SIGLIP = {**SMALL, **LAYERS, "max_position_embeddings": 24, "eos_token_id": 3, "bos_token_id": 2}

TEXT_MODELS = {
    # name: (class, its configuration, longest caption)
    "distilbert": (
        "DistilBertModel",
        {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2, "vocab_size": 120}
        | {"max_position_embeddings": 40},
        40,
    ),
    "bert": ("BertModel", BERT, 40),
    "roberta": ("RobertaModel", ROBERTA, 32),
    "xlm-roberta": ("XLMRobertaModel", ROBERTA, 32),
    "mpnet": ("MPNetModel", ROBERTA, 32),
    "deberta": (
        "DebertaV2Model",
        BERT
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
        | {"norm_rel_ebd": "layer_norm", "position_buckets": 8, "position_biased_input": False},
        40,
    ),
    "albert": ("AlbertModel", BERT | {"embedding_size": 8}, 40),
    "electra": ("ElectraModel", BERT | {"embedding_size": 8}, 40),
    "modernbert": (
        "ModernBertModel",
        BERT
        | {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
        | {"cls_token_id": 2, "sep_token_id": 3},
        40,
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 2, "vocab_size": 120},
        512,
    ),
    "clip": ("CLIPModel", {"text_config": CLIP, "vision_config": VISION, "projection_dim": 12}, 21),
    "clip text tower": ("CLIPTextModelWithProjection", CLIP | {"projection_dim": 12}, 21),
    "siglip": ("SiglipModel", {"text_config": SIGLIP, "vision_config": VISION}, 24),
    "siglip text tower": ("SiglipTextModel", SIGLIP, 24),
}

TIMM_MODELS = {
    "efficientnet": ("test_efficientnet", {}),
    "resnet": ("test_resnet", {}),
    "convnext": ("test_convnext", {}),
    "vit": (
        "vit_tiny_patch16_224",
        {"img_size": 64, "embed_dim": 16, "depth": 2, "num_heads": 2},
    ),
    "vit with dynamic positions": ("test_vit", {"img_size": 64}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "window_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)},
    ),
    "mobilenet": ("mobilenetv4_conv_small_035", {}),
}

IMAGE_TOWERS = {
    "clip": ("CLIPModel", TEXT_MODELS["clip"][1]),
    "clip vision tower": ("CLIPVisionModelWithProjection", VISION | {"projection_dim": 12}),
    "siglip": ("SiglipModel", TEXT_MODELS["siglip"][1]),
    "siglip vision tower": ("SiglipVisionModel", VISION),
}


def make_model(class_name, config):
    model_class = getattr(transformers, class_name)
    return model_class(model_class.config_class(**config)).eval()


def write_text_model(kind, folder, tokenizer):
    """Write a model of TEXT_MODELS, and its tokenizer, into a folder."""
    torch.manual_seed(0)
    make_model(*TEXT_MODELS[kind][:2]).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_image_model(kind, folder):
    """Write a model of TIMM_MODELS or IMAGE_TOWERS into a folder."""
    torch.manual_seed(0)
    if kind in TIMM_MODELS:
        name, arguments = TIMM_MODELS[kind]
        model = timm.create_model(name, num_classes=5, **arguments)
        timm.models.save_for_hf(model, folder, safe_serialization=True)
    else:
        make_model(*IMAGE_TOWERS[kind]).save_pretrained(folder)
