"""The training loop learns from the rows it may learn from, and leaves the epoch it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel

from extract.config import ExtractConfig
from extract.duplicates.folds import Plan
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from extract.training import training_loop as module
from extract.training import training_state as training
from extract.training.training_loop import finetune
from runtime.errors import UserError

ROWS = np.arange(120)
LABEL = (ROWS % 3 == 0).astype(np.int8)
# 80 fitted, 20 monitored; 10 held out and 10 test rows are none of its business.
PLAN = Plan(ROWS < 80, (ROWS >= 80) & (ROWS < 100))
CONFIG = ExtractConfig(
    epochs=5, patience=5, batch_size=16, lr_image=0.01, lr_text=0.05, lr_fusion=0.05
)


@pytest.fixture
def train(toy_model, make_inputs):
    """f(label, inputs, seed, **settings) -> history, always from the same weights."""
    start = {name: value.clone() for name, value in toy_model.state_dict().items()}

    def run(label=LABEL, inputs=None, seed=0, state=None, **settings):
        toy_model.load_state_dict(start)
        torch.manual_seed(0)
        inputs = inputs or make_inputs(LABEL)
        return finetune(toy_model, inputs, label, PLAN, replace(CONFIG, **settings), seed, state)

    return run


@pytest.fixture
def misleading():
    """Labels whose monitored rows get worse the better the fitted ones are learnt."""
    label = LABEL.copy()
    label[PLAN.monitored] ^= 1
    return label


def monitored_loss(model, inputs, label):
    rows = np.flatnonzero(PLAN.monitored)
    with torch.inference_mode():
        logits = model.eval()(inputs.pixels(rows), *inputs.tokens(rows))
    return binary_cross_entropy_with_logits(logits, torch.tensor(label[rows]).float()).item()


def flipped(rows):
    label = LABEL.copy()
    label[rows] ^= 1
    return label


# Learning


def test_an_easy_problem_is_learnt(train):
    history = train(epochs=30)
    assert [past["epoch"] for past in history] == list(range(1, 31))
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]
    assert history[-1]["monitored_loss"] < 0.3
    assert history[-1]["monitored_accuracy"] > 0.9


def test_the_same_seed_trains_the_same_model(train):
    assert train() == train()
    assert train(seed=1) != train()


def test_a_model_that_comes_in_evaluation_mode_is_trained_all_the_same(train, toy_model):
    history = train()
    toy_model.eval()
    assert train() == history


def test_only_fitted_rows_are_learnt_from(train):
    first = train(epochs=1)[0]["train_loss"]
    assert train(flipped(~PLAN.fitted), epochs=1)[0]["train_loss"] == first
    assert train(flipped(np.flatnonzero(PLAN.fitted)[:5]), epochs=1)[0]["train_loss"] != first


def test_pictures_and_captions_of_other_rows_do_not_reach_the_training(train, make_inputs):
    other = make_inputs(LABEL)
    other.pictures.pixels[~PLAN.fitted] ^= 255
    for row in np.flatnonzero(~PLAN.fitted):
        other.captions.tokens[row][:] = 19
    assert train(inputs=other, epochs=1)[0]["train_loss"] == train(epochs=1)[0]["train_loss"]


def test_rows_that_are_neither_fitted_nor_monitored_change_nothing(train):
    unknown = np.where(PLAN.fitted | PLAN.monitored, LABEL, -1).astype(np.int8)
    assert train(unknown) == train()


# Choosing the epoch


def test_the_model_left_behind_is_the_best_epochs_and_not_the_last(
    train, toy_model, make_inputs, misleading
):
    history = train(misleading)
    losses = [past["monitored_loss"] for past in history]
    assert np.argmin(losses) < len(losses) - 1
    found = monitored_loss(toy_model, make_inputs(LABEL), misleading)
    assert found == pytest.approx(min(losses), abs=1e-6)
    assert [past["best"] for past in history] == [int(loss == min(losses)) for loss in losses]


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_patience_epochs_without_a_better_one(train, misleading, patience):
    history = train(misleading, epochs=10, patience=patience)
    best = next(past["epoch"] for past in history if past["best"])
    assert len(history) == best + patience


def test_the_average_begins_at_the_first_steps_and_widens_to_its_window():
    values = np.random.default_rng(0).normal(size=600)
    layer = nn.Linear(1, 1, bias=False)
    average = AveragedModel(layer, multi_avg_fn=module.moving_average)
    for value in values:
        nn.init.constant_(layer.weight, value)
        average.update_parameters(layer)
    expected = values[0]
    for steps, value in enumerate(values[1:], start=1):
        decay = min(0.98, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * value
    assert average.module.weight.item() == pytest.approx(expected, abs=1e-5)


def test_a_short_training_is_not_averaged_away(train, toy_model, monkeypatch):
    def weights():
        return torch.cat([value.detach().flatten() for value in toy_model.parameters()])

    start = weights()
    train(epochs=1)
    kept = weights()
    monkeypatch.setattr(module, "AVERAGE_DECAY", 0.0)
    train(epochs=1)
    last = weights()
    # After so few steps an average over fifty would still lie next to the start.
    assert 0 < (kept - last).norm() < 0.4 * (start - last).norm()


def test_training_that_keeps_improving_is_not_stopped(train):
    assert len(train(patience=1, lr_image=0.0, lr_text=0.002, lr_fusion=0.002)) == 5


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_diverges_is_a_user_error(train):
    with pytest.raises(UserError, match="--lr"):
        train(lr_image=1e30, lr_text=1e30, lr_fusion=1e30)


# The optimizer


@pytest.mark.parametrize("part", ["image", "text", "fusion"])
def test_every_part_has_its_own_learning_rate(train, toy_model, part):
    before = {name: value.clone() for name, value in toy_model.named_parameters()}
    train(**{f"lr_{part}": 0.0})
    for name, value in toy_model.named_parameters():
        assert torch.equal(value, before[name]) is name.startswith(part), name


def test_weight_decay_spares_biases_and_normalisation(toy_model):
    groups = module.parameter_groups(toy_model, CONFIG)
    owned = [value for group in groups for value in group["params"]]
    assert {id(value) for value in owned} == {id(value) for value in toy_model.parameters()}
    assert len(owned) == len(list(toy_model.parameters()))
    for group in groups:
        for value in group["params"]:
            assert ("weight_decay" not in group) is (value.ndim > 1)
        assert group.get("weight_decay", 0.0) == 0.0


def test_all_learning_rates_fall_when_the_monitored_loss_does_not(train, misleading, monkeypatch):
    made = []

    class Kept(torch.optim.AdamW):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(module, "AdamW", Kept)
    history = train(misleading, epochs=4)
    worse = len(history) - 1
    assert history[0]["best"]
    rates = {group["lr"] for group in made[0].param_groups}
    factor = module.PLATEAU_FACTOR**worse
    assert sorted(rates) == pytest.approx([0.01 * factor, 0.05 * factor])


@pytest.mark.parametrize(
    ("dtype", "enabled"),
    [(torch.float32, False), (torch.bfloat16, False), (torch.float16, True)],
)
def test_gradients_are_scaled_for_fp16_and_for_nothing_else(
    toy_model, make_inputs, monkeypatch, dtype, enabled
):
    made = []
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda *args, **kw: made.append(scaler(*args, **kw)) or made[-1]
    )
    model = JointModel(
        toy_model.image,
        toy_model.text,
        toy_model.fusion,
        Machine(torch.device("cpu"), dtype, dtype, dtype),
    )
    history = finetune(model, make_inputs(LABEL), LABEL, PLAN, CONFIG, seed=0)
    assert made[0].is_enabled() is enabled
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


# A training that is broken off


class Unplugged(BaseException):
    """No handler is meant for it."""


@pytest.mark.parametrize("finished", [1, 2, 4])
def test_a_training_broken_off_goes_on_to_the_very_same_weights(
    train, toy_model, misleading, tmp_path, monkeypatch, finished
):
    # The loss rises, so that rates have fallen and the best epoch lies behind.
    monkeypatch.setattr(training, "SHARE", 1e9)
    undisturbed = train(misleading)
    expected = {name: value.clone() for name, value in toy_model.state_dict().items()}
    announce, state = module._announce, tmp_path / "state"

    def unplug(epoch):
        announce(epoch)
        if epoch["epoch"] == finished + 1:
            raise Unplugged

    with monkeypatch.context() as patch, pytest.raises(Unplugged):
        patch.setattr(module, "_announce", unplug)
        train(misleading, state=state)
    assert len(undisturbed) == 5
    assert train(misleading, state=state) == undisturbed
    for name, value in toy_model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_damaged_state_is_named(train, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SHARE", 1e9)
    path = tmp_path / "state"
    path.write_bytes(b"half")
    with pytest.raises(UserError, match=r"state, which holds .* is damaged"):
        train(state=path)
    path.unlink()
    train(state=path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"state, which holds .* is damaged .*checksum"):
        train(state=path)


def test_a_state_is_not_written_when_that_takes_too_much_of_the_time(train, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(training, "save_training", lambda *args: written.append(args))
    train(state=tmp_path / "state")
    assert not written
    monkeypatch.setattr(training, "EXPECTED", 0.0)
    monkeypatch.setattr(training, "SHARE", 0.0)
    train(state=tmp_path / "state")
    assert len(written) == 1


# A device with little memory


@pytest.fixture
def small_device(toy_model, monkeypatch):
    """f(most): a batch of more memes than this does not fit. Returns the sizes that did."""
    fitted, forward = [], JointModel.forward

    def allow(most):
        def guarded(model, pixels, ids, mask):
            if torch.is_grad_enabled() and len(pixels) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            fitted.append(len(pixels))
            return forward(model, pixels, ids, mask)

        monkeypatch.setattr(JointModel, "forward", guarded)
        return fitted

    return allow


def test_a_batch_without_room_goes_through_in_parts_with_the_same_gradient(
    train, small_device, capsys, monkeypatch
):
    # Batch statistics are each part's own, and would tell.
    monkeypatch.setattr(nn.BatchNorm1d, "forward", lambda self, values: values)
    whole = train(epochs=2)
    fitted = small_device(5)
    parts = train(epochs=2)
    assert max(size for size in fitted if size < 20) == 4
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert capsys.readouterr().err.count("each goes through in 4 parts") == 1


def test_memory_for_less_than_two_memes_is_a_user_error(train, small_device):
    small_device(1)
    with pytest.raises(UserError, match="--batch-size"):
        train()
