"""The training loop: which rows it learns from, which epoch it uses, how it resumes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from extract.config import COSINE, PLATEAU, ExtractConfig
from extract.folds.fold_assignment import Plan
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from extract.training import resume_training, schedules, training_loop
from extract.training.training_loop import finetune
from runtime.errors import UserError

ROWS = np.arange(120)
LABEL = (ROWS % 3 == 0).astype(np.int8)
# 80 rows are fitted and 20 monitored. The others, 10 held out and 10 of test, must not matter.
PLAN = Plan(ROWS < 80, (ROWS >= 80) & (ROWS < 100), (ROWS >= 100) & (ROWS < 110))
CONFIG = ExtractConfig(
    schedule=PLATEAU,
    epochs=5,
    patience=5,
    batch_size=16,
    lr_image=0.01,
    lr_text=0.05,
    lr_fusion=0.05,
)


@pytest.fixture
def train(toy_model, make_inputs):
    """f(label, inputs, seed, state, **settings) -> history; each call trains the same weights."""
    start = {name: value.clone() for name, value in toy_model.state_dict().items()}

    def run(label=LABEL, inputs=None, seed=0, state=None, **settings):
        toy_model.load_state_dict(start)
        torch.manual_seed(0)
        inputs = inputs or make_inputs(LABEL)
        return finetune(toy_model, inputs, label, PLAN, replace(CONFIG, **settings), seed, state)

    return run


@pytest.fixture
def misleading():
    """Labels with which the monitored loss rises while the fitted rows are learnt."""
    label = LABEL.copy()
    label[PLAN.monitored] ^= 1
    return label


def monitored_loss(model, inputs, label):
    rows = np.flatnonzero(PLAN.monitored)
    with torch.inference_mode():
        logits = model.eval()(inputs.pixels(rows), *inputs.tokens(rows))
    return binary_cross_entropy_with_logits(logits, torch.tensor(label[rows]).float()).item()


def flip_labels(rows):
    label = LABEL.copy()
    label[rows] ^= 1
    return label


# Rows that are learnt from


def test_easy_problem_is_learnt(train):
    history = train(epochs=30)
    assert [past["epoch"] for past in history] == list(range(1, 31))
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]
    assert history[-1]["eval_loss"] < 0.3
    assert history[-1]["eval_accuracy"] > 0.9


def test_same_seed_gives_the_same_training(train):
    assert train() == train()
    assert train(seed=1) != train()


def test_model_in_evaluation_mode_is_trained_alike(train, toy_model):
    history = train()
    toy_model.eval()
    assert train() == history


def test_only_fitted_rows_are_learnt_from(train):
    first = train(epochs=1)[0]["train_loss"]
    assert train(flip_labels(~PLAN.fitted), epochs=1)[0]["train_loss"] == first
    assert train(flip_labels(np.flatnonzero(PLAN.fitted)[:5]), epochs=1)[0]["train_loss"] != first


def test_pictures_and_captions_of_other_rows_do_not_affect_training(train, make_inputs):
    other = make_inputs(LABEL)
    other.pictures.pixels[~PLAN.fitted] ^= 255
    for row in np.flatnonzero(~PLAN.fitted):
        other.captions.tokens[row][:] = 19
    assert train(inputs=other, epochs=1)[0]["train_loss"] == train(epochs=1)[0]["train_loss"]


def test_rows_neither_fitted_nor_monitored_change_nothing(train):
    unknown = np.where(PLAN.fitted | PLAN.monitored, LABEL, -1).astype(np.int8)
    assert train(unknown) == train()


# The best epoch


def test_model_has_the_weights_of_the_best_epoch_not_the_last(
    train, toy_model, make_inputs, misleading
):
    history = train(misleading)
    losses = [past["eval_loss"] for past in history]
    assert np.argmin(losses) < len(losses) - 1
    found = monitored_loss(toy_model, make_inputs(LABEL), misleading)
    assert found == pytest.approx(min(losses), abs=1e-6)
    assert [past["best"] for past in history] == [int(loss == min(losses)) for loss in losses]


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_patience_epochs_without_improvement(train, misleading, patience):
    history = train(misleading, epochs=10, patience=patience)
    best = next(past["epoch"] for past in history if past["best"])
    assert len(history) == best + patience


def test_training_that_improves_is_not_stopped(train):
    assert len(train(patience=1, lr_image=0.0, lr_text=0.002, lr_fusion=0.002)) == 5


def test_cosine_uses_the_last_epoch_whatever_the_evaluated_loss(
    train, toy_model, make_inputs, misleading
):
    history = train(misleading, schedule=COSINE, patience=1)
    losses = [past["eval_loss"] for past in history]
    assert len(losses) == 5 and losses[-1] > min(losses)
    assert [past["best"] for past in history] == [0, 0, 0, 0, 1]
    found = monitored_loss(toy_model, make_inputs(LABEL), misleading)
    assert found == pytest.approx(losses[-1], abs=1e-6)


def test_without_monitored_rows_the_held_out_rows_are_evaluated_and_change_no_weight(
    toy_model, make_inputs
):
    plan = replace(PLAN, monitored=np.zeros(len(ROWS), dtype=bool))
    start = {name: value.clone() for name, value in toy_model.state_dict().items()}
    results = []
    for label in (LABEL, flip_labels(plan.held_out)):
        toy_model.load_state_dict(start)
        torch.manual_seed(0)
        config = replace(CONFIG, schedule=COSINE)
        history = finetune(toy_model, make_inputs(LABEL), label, plan, config, seed=0)
        weights = torch.cat([value.flatten() for value in toy_model.state_dict().values()])
        results.append((history[-1]["eval_loss"], weights))
    assert results[0][0] != results[1][0]
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.filterwarnings("ignore")
def test_training_that_diverges_is_a_user_error(train):
    with pytest.raises(UserError, match="--lr"):
        train(lr_image=1e30, lr_text=1e30, lr_fusion=1e30)


# The optimizer


@pytest.mark.parametrize("part", ["image", "text", "fusion"])
def test_each_part_has_a_separate_learning_rate(train, toy_model, part):
    before = {name: value.clone() for name, value in toy_model.named_parameters()}
    train(**{f"lr_{part}": 0.0})
    for name, value in toy_model.named_parameters():
        assert torch.equal(value, before[name]) is name.startswith(part), name


def test_biases_and_normalisation_have_no_weight_decay(toy_model):
    groups = training_loop.parameter_groups(toy_model, CONFIG)
    grouped = [value for group in groups for value in group["params"]]
    assert {id(value) for value in grouped} == {id(value) for value in toy_model.parameters()}
    assert len(grouped) == len(list(toy_model.parameters()))
    for group in groups:
        for value in group["params"]:
            assert ("weight_decay" not in group) is (value.ndim > 1)
        assert group.get("weight_decay", 0.0) == 0.0


def test_all_learning_rates_fall_if_the_monitored_loss_does_not(train, misleading, monkeypatch):
    optimizers = []

    class RecordedAdamW(torch.optim.AdamW):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            optimizers.append(self)

    monkeypatch.setattr(training_loop, "AdamW", RecordedAdamW)
    history = train(misleading, epochs=4)
    worse = len(history) - 1
    assert history[0]["best"]
    rates = {group["lr"] for group in optimizers[0].param_groups}
    factor = schedules.PLATEAU_FACTOR**worse
    assert sorted(rates) == pytest.approx([0.01 * factor, 0.05 * factor])


def test_cosine_warms_up_and_falls_to_zero(toy_model):
    optimizer = torch.optim.AdamW(toy_model.parameters(), lr=1.0)
    scheduler = schedules.create_scheduler(COSINE, optimizer, 100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] < 0.2 and max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize(
    ("dtype", "enabled"),
    [(torch.float32, False), (torch.bfloat16, False), (torch.float16, True)],
)
def test_gradients_are_scaled_only_for_fp16(toy_model, make_inputs, monkeypatch, dtype, enabled):
    scalers = []
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp,
        "GradScaler",
        lambda *args, **kw: scalers.append(scaler(*args, **kw)) or scalers[-1],
    )
    model = JointModel(
        toy_model.image,
        toy_model.text,
        toy_model.fusion,
        Machine(torch.device("cpu"), dtype, dtype, dtype),
    )
    history = finetune(model, make_inputs(LABEL), LABEL, PLAN, CONFIG, seed=0)
    assert scalers[0].is_enabled() is enabled
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


# Resuming an interrupted training


class PowerCut(BaseException):
    """Must not be handled by any `except` clause."""


@pytest.mark.parametrize("schedule", [COSINE, PLATEAU])
@pytest.mark.parametrize("finished", [1, 2, 4])
def test_resumed_training_ends_with_exactly_the_same_weights(
    train, toy_model, misleading, tmp_path, monkeypatch, finished, schedule
):
    # The evaluated loss rises, so that with plateau, rates have fallen and the best epoch is past.
    monkeypatch.setattr(resume_training, "MAX_SAVE_TIME_SHARE", 1e9)
    uninterrupted = train(misleading, schedule=schedule)
    expected = {name: value.clone() for name, value in toy_model.state_dict().items()}
    log_epoch, state = training_loop._log_epoch, tmp_path / "state"

    def interrupt(epoch):
        log_epoch(epoch)
        if epoch["epoch"] == finished + 1:
            raise PowerCut

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(training_loop, "_log_epoch", interrupt)
        train(misleading, state=state, schedule=schedule)
    assert len(uninterrupted) == 5
    assert train(misleading, state=state, schedule=schedule) == uninterrupted
    for name, value in toy_model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_damaged_state_is_named(train, tmp_path, monkeypatch):
    monkeypatch.setattr(resume_training, "MAX_SAVE_TIME_SHARE", 1e9)
    path = tmp_path / "state"
    path.write_bytes(b"half")
    with pytest.raises(UserError, match=r"state, the saved state of .* is damaged"):
        train(state=path)
    path.unlink()
    train(state=path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"state, the saved state of .* is damaged .*checksum"):
        train(state=path)


def test_state_is_not_saved_if_that_takes_too_much_of_the_time(train, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(resume_training, "save_training_state", lambda *args: saved.append(args))
    train(state=tmp_path / "state")
    assert not saved
    monkeypatch.setattr(resume_training, "FIRST_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(resume_training, "MAX_SAVE_TIME_SHARE", 0.0)
    train(state=tmp_path / "state")
    assert len(saved) == 1


# A device with little memory


@pytest.fixture
def small_device(toy_model, monkeypatch):
    """f(most) -> batches of more memes no longer fit. Returns a list of the sizes that fit."""
    sizes, forward = [], JointModel.forward

    def limit(most):
        def limited(model, pixels, ids, mask):
            if torch.is_grad_enabled() and len(pixels) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            sizes.append(len(pixels))
            return forward(model, pixels, ids, mask)

        monkeypatch.setattr(JointModel, "forward", limited)
        return sizes

    return limit


def test_batch_that_does_not_fit_is_split_into_micro_batches_with_the_same_gradient(
    train, small_device, capsys
):
    whole = train(epochs=2)
    sizes = small_device(5)
    split = train(epochs=2)
    assert max(size for size in sizes if size < 20) == 4
    for one, other in zip(whole, split, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert capsys.readouterr().err.count("each is split into 4 micro-batches") == 1


def test_too_little_memory_for_one_meme_is_a_user_error(train, small_device):
    small_device(0)
    with pytest.raises(UserError, match="--batch-size"):
        train()
