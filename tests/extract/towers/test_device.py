"""A device that is not there is named before any work begins."""

import pytest
import torch

from extract.towers.device import Machine, choose_machine
from runtime.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16


@pytest.fixture
def no_gpu():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("name", ["gpu", "", "cpu:x", "vulkan", "meta"])
def test_a_device_that_nothing_can_be_computed_on_is_refused(name):
    with pytest.raises(UserError, match=f"--device {name} .*--device auto"):
        choose_machine(name, "auto")


@pytest.mark.parametrize("name", ["cuda", "cuda:7"])
def test_a_gpu_that_is_not_there_is_refused_and_not_replaced_by_the_cpu(no_gpu, name):
    with pytest.raises(UserError, match=f"--device {name} cannot be used"):
        choose_machine(name, "auto")


def test_fp16_on_a_cpu_is_refused_with_what_is_allowed():
    with pytest.raises(UserError, match="allowed: auto, fp32, bf16"):
        choose_machine("cpu", "fp16")


@pytest.mark.parametrize(("chip", "text"), [(True, BF16), (False, FP32)])
def test_auto_on_a_cpu_gives_bf16_to_the_text_tower_alone(monkeypatch, chip, text):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: chip)
    assert choose_machine("cpu", "auto") == Machine(CPU, FP32, text, text)


@pytest.mark.parametrize(("chip", "dtype"), [(True, BF16), (False, FP16)])
def test_auto_takes_the_gpu_and_what_it_can(gpu, monkeypatch, chip, dtype):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: chip)
    assert choose_machine("auto", "auto") == Machine(CUDA, dtype, dtype, dtype)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", FP32), ("bf16", BF16)])
def test_a_precision_asked_for_holds_for_both_towers(precision, dtype):
    assert choose_machine("cpu", precision) == Machine(CPU, dtype, dtype, dtype)


@pytest.mark.parametrize(
    ("image", "text", "scales"),
    [(FP32, FP32, False), (BF16, BF16, False), (FP16, FP16, True), (FP32, FP16, True)],
)
def test_only_fp16_gradients_are_scaled(image, text, scales):
    assert Machine(CPU, image, text, image).scales_gradients() is scales


def test_the_log_line_names_both_towers():
    assert Machine(CPU, FP32, BF16, FP32).describe() == "cpu, image tower fp32, text tower bf16"
    mixed = "cpu, image tower fp32 (embedding bf16), text tower bf16"
    assert Machine(CPU, FP32, BF16, BF16).describe() == mixed
