"""What sentence-transformers does behind the pooling is done here, or refused by name."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertModel

from extract.data.tokenisation import tokenise
from extract.towers.encoders import load_text_encoder, save_text_encoder
from runtime.errors import UserError

WIDTH = 16
TANH = "torch.nn.modules.activation.Tanh"
IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.fixture(scope="module")
def bert(tmp_path_factory, make_tokenizer):
    """Folder of a tiny BERT, without modules."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    small = {"intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    BertModel(BertConfig(hidden_size=WIDTH, vocab_size=120, **small)).save_pretrained(folder)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def make_folder(bert, tmp_path):
    """f(pooling, *modules) -> folder; a module is a kind, or the settings of a Dense."""

    def make(pooling, *modules, package="sentence_transformers.models"):
        folder = shutil.copytree(bert, tmp_path / "model")
        kinds = ["Transformer", "Pooling"]
        kinds += ["Dense" if isinstance(module, dict) else module for module in modules]
        listed = [
            {"idx": n, "path": f"{n}_{kind}" if n else "", "type": f"{package}.{kind}"}
            for n, kind in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": pooling}))
        for number, module in enumerate(modules, 2):
            if isinstance(module, dict):
                write_dense(folder / f"{number}_Dense", module)
        return folder

    return make


def write_dense(folder, settings):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    linear = nn.Linear(settings["in_features"], settings["out_features"], settings["bias"])
    weights = {f"linear.{name}": weight for name, weight in linear.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    return linear


def dense(width, wanted, activation=TANH, bias=True, **other):
    found = {"in_features": width, "out_features": wanted, "bias": bias}
    return found | {"activation_function": activation, **other}


def embed(encoder, captions=("the cat", "many more dogs than cats")):
    tokens = tokenise(list(captions), encoder.tokenizer, encoder.max_tokens, encoder.pad_id)
    with torch.no_grad():
        return encoder.eval()(*map(torch.from_numpy, tokens.padded_batch(np.arange(len(captions)))))


@pytest.mark.parametrize(("theirs", "ours"), [("mean", "mean"), ("cls", "first")])
def test_modules_map_what_is_pooled_in_their_order(make_folder, theirs, ours):
    folder = make_folder(
        theirs, dense(WIDTH, 24), dense(24, 8, IDENTITY, bias=False), "Dropout", "Normalize"
    )
    encoder = load_text_encoder(folder, "checkpoint")
    first, second = encoder.mapping[0].linear, encoder.mapping[1].linear
    with torch.no_grad():
        wanted = torch.tanh(first(embed(load_text_encoder(folder, ours)))) @ second.weight.T
    wanted = wanted / wanted.norm(dim=1, keepdim=True)
    assert (encoder.pooling, encoder.dim) == (f"{ours}+dense+dense+normalize", 8)
    assert torch.allclose(embed(encoder), wanted, atol=1e-6)


def test_modules_are_saved_bit_for_bit(make_folder, tmp_path):
    encoder = load_text_encoder(make_folder("cls", dense(WIDTH, 8), "Normalize"), "checkpoint")
    (tmp_path / "saved").mkdir()
    save_text_encoder(encoder, tmp_path / "saved")
    for pooling in (encoder.pooling, "checkpoint"):
        assert torch.equal(embed(load_text_encoder(tmp_path / "saved", pooling)), embed(encoder))


def test_auto_leaves_dense_out_only_where_it_joins_layers_and_says_so(make_folder, capsys):
    folder = make_folder("mean", dense(WIDTH, 8))
    assert load_text_encoder(folder, "auto").pooling == "layers"
    assert "its Dense modules map the mean of its last layer" in capsys.readouterr().err
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    assert load_text_encoder(folder, "auto").pooling == "first+dense"
    assert not capsys.readouterr().err


def test_normalize_alone_needs_no_remark(make_folder, capsys):
    folder = make_folder("mean", "Normalize")
    assert load_text_encoder(folder, "auto").pooling == "layers"
    assert not capsys.readouterr().err
    assert torch.allclose(embed(load_text_encoder(folder, "checkpoint")).norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("pooling", ["mean", "first", "layers"])
def test_poolings_that_were_asked_for_use_no_modules(make_folder, bert, pooling):
    encoder = load_text_encoder(make_folder("mean", dense(WIDTH, 8)), pooling)
    assert torch.equal(embed(encoder), embed(load_text_encoder(bert, pooling)))


@pytest.mark.parametrize(
    ("modules", "package", "named"),
    [
        (["LSTM"], "sentence_transformers.models", r"sentence_transformers\.models\.LSTM"),
        (["Normalize"], "custom_st", r"custom_st\.Transformer"),
    ],
)
@pytest.mark.parametrize("pooling", ["checkpoint", "auto"])
def test_unknown_modules_are_refused_by_name(make_folder, modules, package, named, pooling):
    folder = make_folder("mean", *modules, package=package)
    with pytest.raises(UserError, match=f"{named}.*Choose pooling mean, first or layers"):
        load_text_encoder(folder, pooling)
    assert load_text_encoder(folder, "layers").pooling == "layers"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (dense(WIDTH, 8, "os.system"), "os.system"),
        (dense(WIDTH, 8, use_residual=True), "'use_residual': True"),
        (dense(WIDTH, 8, module_input_name="token_embeddings"), "token_embeddings"),
    ],
)
def test_unusual_dense_is_refused_by_name(make_folder, settings, named):
    folder = make_folder("mean", settings)
    with pytest.raises(UserError, match=f"2_Dense/config.json: found .*{named}"):
        load_text_encoder(folder, "checkpoint")


def test_dense_without_safetensors_or_of_another_width_is_a_user_error(make_folder):
    folder = make_folder("mean", dense(WIDTH, 8))
    settings = dense(WIDTH, 9)
    (folder / "2_Dense/config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="2_Dense: torch cannot load"):
        load_text_encoder(folder, "checkpoint")
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(UserError, match=r"2_Dense lacks model\.safetensors"):
        load_text_encoder(folder, "checkpoint")


def test_damaged_list_of_modules_is_a_user_error(make_folder):
    folder = make_folder("mean", "Normalize")
    (folder / "modules.json").write_text('[{"idx": 0}]')
    with pytest.raises(UserError, match=r"cannot load modules\.json"):
        load_text_encoder(folder, "checkpoint")
