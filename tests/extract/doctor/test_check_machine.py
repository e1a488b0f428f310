"""Checks of library versions, the device, threads, cores and memory."""

from types import SimpleNamespace

import pytest

from extract.config import ExtractConfig
from extract.doctor import check_machine, check_versions, cpu_and_memory, doctor
from extract.doctor.finding import FAIL, OK, WARNING

GB = 10**9


# Libraries


@pytest.fixture
def installed(monkeypatch):
    """f(name=version, ...) -> pretend that these versions are installed; None: not installed."""

    def pretend(**changed):
        true = check_versions.installed_version
        monkeypatch.setattr(
            check_versions,
            "installed_version",
            lambda name: changed[name] if name in changed else true(name),
        )

    return pretend


def test_pinned_versions_and_local_builds_of_them_are_ok(installed):
    assert [finding.state for finding in check_versions.check_versions()] == [OK]
    installed(torch="2.13.0+cu130")
    assert [finding.state for finding in check_versions.check_versions()] == [OK]


def test_other_version_is_a_warning_and_missing_library_fails(installed):
    installed(timm="0.9.1", lightgbm=None)
    missing, other = check_versions.check_versions()
    assert missing.state == FAIL and missing.found == "not installed: lightgbm"
    assert other.state == WARNING and other.found == "timm 0.9.1 (tested with 1.0.31)"


def test_test_tools_are_not_required(installed):
    installed(pytest=None, ruff=None)
    assert [finding.state for finding in check_versions.check_versions()] == [OK]


def test_torchvision_for_another_torch_fails(installed):
    installed(torch="2.12.1")
    found = check_versions.check_versions()[-1]
    assert found.name == "torchvision" and found.state == FAIL and "2.13.0" in found.advice
    installed(torchvision=None)
    assert check_versions.check_versions()[-1].name == "versions"


def test_old_python_fails(monkeypatch):
    monkeypatch.setattr(check_versions, "MIN_PYTHON", (4, 0))
    assert check_versions.check_versions()[0].state == FAIL


def test_library_that_fails_to_import_does_not_hide_other_findings(monkeypatch, tmp_path):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor, "import_module", broken)
    *others, library = doctor.run_checks(ExtractConfig(), tmp_path)
    assert [finding.name for finding in others] == ["settings", "versions"]
    assert library.state == FAIL and "RuntimeError: operator torchvision::nms" in library.found


# Device and threads


def test_unavailable_device_or_precision_fails():
    assert check_machine.check_device("cpu", "fp32")[1].state == OK
    assert check_machine.check_device("gpu", "auto")[1].state == FAIL
    chosen, found = check_machine.check_device("cpu", "fp16")
    assert chosen is None and found.state == FAIL and "--precision" in found.found


def test_gpu_that_torch_does_not_use_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(check_machine.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(check_machine, "NVIDIA_DRIVER", tmp_path / "none")
    assert check_machine.check_device("auto", "auto")[1].state == OK
    monkeypatch.setattr(check_machine, "NVIDIA_DRIVER", tmp_path)
    assert check_machine.check_device("auto", "auto")[1].state == WARNING
    assert check_machine.check_device("cpu", "auto")[1].state == OK


@pytest.mark.parametrize(
    ("threads", "cores", "setting", "load", "state", "fragment"),
    [
        (4, 4, None, 0.0, OK, "4 threads on 4 cores"),
        (2, 2.5, "2", 0.0, OK, "OMP_NUM_THREADS is 2"),
        (64, 2, None, 0.0, WARNING, "OMP_NUM_THREADS=2"),
        (2, 0.5, None, 0.0, WARNING, "OMP_NUM_THREADS=1"),
        (1, 8, "1", 0.0, WARNING, "unset"),
        (4, 4, "many", 0.0, WARNING, "not a number"),
        (4, 4, None, 3.0, WARNING, "OMP_WAIT_POLICY=PASSIVE"),
    ],
)
def test_threads_are_compared_with_cores(
    monkeypatch, threads, cores, setting, load, state, fragment
):
    monkeypatch.setattr(check_machine.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(check_machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(check_machine.os, "getloadavg", lambda: (load, 0, 0))
    for name, value in (("OMP_NUM_THREADS", setting), ("OMP_WAIT_POLICY", None)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    found = check_machine.check_threads()
    assert found.state == state and fragment in f"{found.found} {found.advice}"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [(["libgomp", "libgomp"], OK), ([], OK), (["libgomp", "libiomp"], WARNING)],
)
def test_two_kinds_of_openmp_runtimes_are_a_warning(monkeypatch, kinds, state):
    loaded = [
        {"user_api": "openmp", "prefix": kind, "filepath": f"/x/site-packages/p{n}.libs/{kind}.so"}
        for n, kind in enumerate(kinds)
    ]
    monkeypatch.setattr(check_machine, "threadpool_info", lambda: loaded)
    found = check_machine.check_openmp()
    assert found.state == state
    assert all(f"{kind} of p{n}" in found.found for n, kind in enumerate(kinds))


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """f(membership, files) -> write the files of a cgroup; the machine has 8 cores and 64 GB."""
    monkeypatch.setattr(cpu_and_memory, "CGROUPS", tmp_path / "sys")
    monkeypatch.setattr(cpu_and_memory, "CGROUP_OF_PROCESS", tmp_path / "membership")
    monkeypatch.setattr(cpu_and_memory.os, "sched_getaffinity", lambda _: range(8))
    memory = SimpleNamespace(available=64 * GB)
    monkeypatch.setattr(cpu_and_memory.psutil, "virtual_memory", lambda: memory)

    def write(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_without_limits_the_whole_machine_is_usable(cgroup):
    assert (cpu_and_memory.usable_cores(), cpu_and_memory.available_memory()) == (8, 64 * GB)
    cgroup("0::/job\n", {"job/cpu.max": "max 100000\n", "job/memory.max": "max\n"})
    assert (cpu_and_memory.usable_cores(), cpu_and_memory.available_memory()) == (8, 64 * GB)


def test_limits_of_parent_cgroups_apply_and_cached_files_do_not_count(cgroup):
    cgroup("0::/pod/job\n", {
        "pod/job/cpu.max": "max 100000\n",
        "pod/cpu.max": "150000 100000\n",
        "pod/memory.max": f"{4 * GB}\n",
        "pod/memory.current": f"{3 * GB}\n",
        "pod/memory.stat": f"anon {GB}\ninactive_file {2 * GB}\n",
    })  # fmt: skip
    assert (cpu_and_memory.usable_cores(), cpu_and_memory.available_memory()) == (1.5, 3 * GB)


def test_limits_of_cgroup_version_1_apply(cgroup):
    cgroup("3:memory:/job\n2:cpu,cpuacct:/\n", {
        "cpu/cpu.cfs_quota_us": "200000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/job/memory.limit_in_bytes": str(2 * GB),
        "memory/job/memory.usage_in_bytes": str(GB),
        "memory/job/memory.stat": "",
    })  # fmt: skip
    assert (cpu_and_memory.usable_cores(), cpu_and_memory.available_memory()) == (2, GB)
    cgroup("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1"})
    assert cpu_and_memory.usable_cores() == 8
