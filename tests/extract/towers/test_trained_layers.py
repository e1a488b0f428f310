"""Trained layers: the last blocks and what follows them, never embeddings."""

import pytest
import timm
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DebertaV2Config,
    DebertaV2Model,
    T5Config,
    T5EncoderModel,
    XLMConfig,
    XLMModel,
)

from extract.towers.encoders import ImageEncoder
from extract.towers.trained_layers import default_learning_rate, set_trained_layers
from runtime.errors import UserError

SMALL = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}


def timm_model(name):
    return lambda: timm.create_model(name, num_classes=0)


def clip():
    config = CLIPVisionConfig(**SMALL, num_hidden_layers=3, image_size=32, patch_size=8)
    return CLIPVisionModelWithProjection(config)


def deberta():
    config = DebertaV2Config(
        **SMALL,
        vocab_size=20,
        num_hidden_layers=3,
        relative_attention=True,
        norm_rel_ebd="layer_norm",
    )
    return DebertaV2Model(config)


def t5():
    return T5EncoderModel(
        T5Config(d_model=8, d_ff=16, d_kv=4, num_heads=2, num_layers=1, vocab_size=20)
    )


def albert():
    return AlbertModel(
        AlbertConfig(**SMALL, vocab_size=20, embedding_size=4, num_hidden_layers=3),
        add_pooling_layer=False,
    )


def xlm():
    return XLMModel(XLMConfig(emb_dim=8, n_layers=3, n_heads=2, vocab_size=20))


MODELS = {
    # name: (backbone, number of blocks, patterns that the trained weights' names begin with)
    "efficientnet": (timm_model("test_efficientnet"), 5, ("blocks.4.", "conv_head", "bn2")),
    "resnet": (timm_model("test_resnet"), 4, ("layer4.",)),
    "convnext": (timm_model("test_convnext"), 4, ("stages.3.", "head.norm")),
    "vit": (timm_model("test_vit"), 6, ("blocks.5.", "norm.")),
    "mobilenet": (
        timm_model("mobilenetv4_conv_small_035"),
        5,
        ("blocks.4.", "conv_head", "norm_head"),
    ),
    "clip": (
        clip,
        3,
        ("vision_model.encoder.layers.2.", "vision_model.post_layernorm", "visual_projection"),
    ),
    "deberta": (deberta, 3, ("encoder.layer.2.", "encoder.LayerNorm")),
    "t5 of one block": (t5, 1, ("encoder.block.0.", "encoder.final_layer_norm")),
    "albert, whose layers share weights": (albert, 1, ("encoder.albert_layer_groups.",)),
    "xlm, whose blocks are spread": (
        xlm,
        3,
        ("attentions.2.", "layer_norm1.2.", "ffns.2.", "layer_norm2.2."),
    ),
}


def encoder_of(backbone):
    encoder = nn.Module()
    encoder.backbone = backbone
    return encoder


def trained(encoder):
    parameters = encoder.backbone.named_parameters()
    return {name for name, parameter in parameters if parameter.requires_grad}


@pytest.mark.parametrize("model", MODELS)
def test_last_block_and_what_follows_are_trained(model):
    make, count, prefixes = MODELS[model]
    encoder = encoder_of(make())
    set_trained_layers(encoder, "last:1", "--tune-text")
    names = {name for name, _ in encoder.backbone.named_parameters()}
    assert trained(encoder) == {name for name in names if name.startswith(prefixes)}
    with pytest.raises(UserError, match=f'"last:{count + 1}".*has {count} blocks.*1 to {count}'):
        set_trained_layers(encoder, f"last:{count + 1}", "--tune-text")
    set_trained_layers(encoder, f"last:{count}", "--tune-text")
    assert len(trained(encoder)) >= len([name for name in names if name.startswith(prefixes)])
    assert trained(encoder) < names, "embeddings and stem stay frozen"


def test_all_and_none_undo_each_other(make_text_encoder):
    encoder = make_text_encoder()
    everything = trained(encoder)
    set_trained_layers(encoder, "none", "--tune-text")
    assert not trained(encoder)
    set_trained_layers(encoder, "all", "--tune-text")
    assert trained(encoder) == everything == set(dict(encoder.backbone.named_parameters()))


def test_frozen_blocks_get_no_gradient(make_image_encoder):
    encoder = make_image_encoder().train()
    set_trained_layers(encoder, "last:2", "--tune-text")
    encoder(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)).sum().backward()
    with_gradient = {n for n, p in encoder.backbone.named_parameters() if p.grad is not None}
    assert with_gradient == trained(encoder)
    assert {name.split(".")[1] for name in with_gradient if "blocks" in name} == {"3", "4"}


@pytest.mark.parametrize("tune", ["last:0", "last:-1", "last:x", "last", "first:2", ""])
def test_other_values_are_refused(make_text_encoder, tune):
    with pytest.raises(UserError, match=f'found "{tune}".*DistilBertModel has 2 blocks'):
        set_trained_layers(make_text_encoder(), tune, "--tune-text")


def test_model_without_blocks_can_only_be_trained_as_a_whole():
    with pytest.raises(UserError, match=r"Linear has 0 blocks\. Allowed are all and none\."):
        set_trained_layers(encoder_of(nn.Linear(2, 2)), "last:1", "--tune-text")


@pytest.mark.parametrize(
    ("millions", "rate"), [(149, 5e-5), (150, 2e-5), (499, 2e-5), (500, 1e-5), (900, 1e-5)]
)
def test_learning_rate_falls_with_size(millions, rate):
    with torch.device("meta"):
        encoder = nn.Linear(1000, 1000 * millions, bias=False)
    assert default_learning_rate(encoder) == rate


def test_learning_rate_of_an_image_encoder():
    assert default_learning_rate(ImageEncoder(timm_model("test_resnet")())) == 5e-5
