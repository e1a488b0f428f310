"""The choice of device and precision; unavailable devices are errors."""

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
def test_unusable_device_is_rejected(name):
    with pytest.raises(UserError, match=f"--device {name} .*--device auto"):
        choose_machine(name, "auto")


@pytest.mark.parametrize("name", ["cuda", "cuda:7"])
def test_missing_gpu_is_rejected_and_not_replaced_by_the_cpu(no_gpu, name):
    with pytest.raises(UserError, match=f"--device {name} cannot be used"):
        choose_machine(name, "auto")


def test_fp16_on_a_cpu_is_rejected_and_allowed_values_are_listed():
    with pytest.raises(UserError, match="allowed: auto, fp32, bf16"):
        choose_machine("cpu", "fp16")


@pytest.mark.parametrize(("supported", "text"), [(True, BF16), (False, FP32)])
def test_auto_on_a_cpu_trains_only_the_text_tower_in_bf16(monkeypatch, supported, text):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    assert choose_machine("cpu", "auto") == Machine(CPU, FP32, text, text)


@pytest.mark.parametrize(("supported", "dtype"), [(True, BF16), (False, FP16)])
def test_auto_chooses_the_gpu_and_bf16_if_supported(gpu, monkeypatch, supported, dtype):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    assert choose_machine("auto", "auto") == Machine(CUDA, dtype, dtype, dtype)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", FP32), ("bf16", BF16)])
def test_explicit_precision_applies_to_both_towers(precision, dtype):
    assert choose_machine("cpu", precision) == Machine(CPU, dtype, dtype, dtype)


@pytest.mark.parametrize(
    ("image", "text", "scales"),
    [(FP32, FP32, False), (BF16, BF16, False), (FP16, FP16, True), (FP32, FP16, True)],
)
def test_only_fp16_gradients_are_scaled(image, text, scales):
    assert Machine(CPU, image, text, image).scales_gradients() is scales


def test_log_line_names_the_precision_of_both_towers():
    assert Machine(CPU, FP32, BF16, FP32).describe() == "cpu, image tower fp32, text tower bf16"
    mixed = "cpu, image tower fp32 (embedding bf16), text tower bf16"
    assert Machine(CPU, FP32, BF16, BF16).describe() == mixed
