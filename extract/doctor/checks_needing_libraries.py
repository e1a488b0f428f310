"""Run the checks that need the libraries, in the order in which one needs another's result."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from extract.config import ExtractConfig
from extract.data.batches import Inputs
from extract.data.load_data import LoadedData, without_captions
from extract.data.tokenisation import Captions, tokenise
from extract.doctor.check_classes_and_folds import (
    check_balance,
    check_captions,
    check_contradictions,
    check_folds,
    check_label_shift,
    check_near_duplicates,
)
from extract.doctor.check_disk_memory import RunSize, check_disk, check_memory
from extract.doctor.check_machine import check_device, check_openmp, check_threads
from extract.doctor.check_rows import Memes, check_data
from extract.doctor.check_run_folder import check_features, check_folder, check_lock
from extract.doctor.check_time import check_time, longest_captions, synthetic_inputs
from extract.doctor.check_weights import check_reader, check_weights, load_frozen
from extract.doctor.finding import FAIL, WARNING, Finding
from extract.folds.near_duplicates import group_near_duplicates
from extract.sample import write_sample
from extract.spaces.fine_tuned import freeze_token_embeddings
from extract.spaces.reuse_spaces import keep_frozen_spaces
from extract.spaces.run_setup import find_frozen_models, identify, resolve
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones
from features.feature_table import Rows
from runtime.errors import UserError


def run_checks_needing_libraries(config: ExtractConfig, run: Path) -> list[Finding]:
    """Check machine, run folder, weights, data, and the resources that these need together."""
    config = keep_frozen_spaces(resolve(config), run / "features.h5")
    machine, device = check_device(config.device, config.precision)
    findings = [device, check_threads(), check_openmp(), check_folder(run), check_lock(run)]
    backbones, weight_findings = check_weights(config)
    frozen, frozen_findings = load_frozen(config)
    findings += [*weight_findings, *frozen_findings]
    with _data_folder(config) as folder, tempfile.TemporaryDirectory() as unpack_to:
        memes, data_findings = check_data(config, folder, Path(unpack_to))
        unpacked = sum(path.stat().st_size for path in Path(unpack_to).iterdir())
    findings += data_findings
    if config.read_captions:
        findings.append(check_reader())
    rows = None
    if memes:
        rows, row_findings = _check_rows(memes, config)
        findings += row_findings
    if memes and backbones:
        captions = _tokenise(memes, backbones, config)
        findings.append(check_captions(captions, backbones.text, config))
        if not any(finding.name == "rows" and finding.state == FAIL for finding in findings):
            findings.append(_check_features(run, memes, captions, backbones, config))
        if machine:
            extra = [JointModel(*towers, None, machine) for towers in frozen]
            findings += _check_resources(
                run, memes, rows, captions, backbones, extra, machine, config, unpacked
            )
    if not (memes and backbones and machine):
        missing = [
            name
            for name, value in (("data", memes), ("weights", backbones), ("a device", machine))
            if not value
        ]
        found = f"not checked: disk, memory and time need {' and '.join(missing)}"
        advice = "fix that first, then run doctor again"
        findings.append(Finding(WARNING, "resources", found, advice))
    return findings


@contextmanager
def _data_folder(config: ExtractConfig) -> Iterator[Path]:
    """Yield the user's data, or a temporary folder with the built-in sample."""
    if config.data:
        yield Path(config.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield write_sample(Path(folder) / "sample", config.sample_memes, config.seed)


def _check_rows(memes: Memes, config: ExtractConfig) -> tuple[Rows, list[Finding]]:
    table, pictures = memes
    group = group_near_duplicates(table, pictures).group
    no_fold = np.full(len(table), -1, dtype=np.int16)
    rows = without_captions(table, pictures).rows(group, no_fold)
    return rows, [
        check_balance(rows),
        check_label_shift(rows),
        check_contradictions(table, pictures, rows),
        check_near_duplicates(rows),
        check_folds(rows, config),
    ]


def _tokenise(memes: Memes, backbones: Backbones, config: ExtractConfig) -> Captions:
    text = backbones.text
    limit = min(config.max_tokens, text.max_tokens)
    return tokenise(memes[0].rows["caption"].tolist(), text.tokenizer, limit, text.pad_id)


def _check_features(
    run: Path, memes: Memes, captions: Captions, backbones: Backbones, config: ExtractConfig
) -> Finding:
    table, pictures = memes
    loaded = LoadedData(table, Inputs(pictures, captions), [])
    try:
        frozen = find_frozen_models(config, cached_only=True)
    except UserError as error:
        return Finding(WARNING, "features.h5", f"not compared: {error}")
    return check_features(run, identify(config, backbones, frozen, loaded))


def _check_resources(
    run: Path,
    memes: Memes,
    rows: Rows,
    captions: Captions,
    backbones: Backbones,
    frozen: list[JointModel],
    machine: Machine,
    config: ExtractConfig,
    unpacked: int,
) -> list[Finding]:
    """Check disk and memory; if memory suffices, time a short training."""
    table, pictures = memes
    count = len(pictures.digests)
    freeze_token_embeddings(backbones.text)
    fusion = FUSIONS[config.fusion](backbones.image.dim, backbones.text.dim)
    model = JointModel(backbones.image, backbones.text, fusion, machine)
    size = RunSize(
        len(table),
        count,
        config.image_size,
        config.folds,
        min(config.batch_size, len(table)),
        config.embedding_dtype,
        unpacked,
    )
    inputs = synthetic_inputs(captions, longest_captions(captions, 4), config.image_size)
    memory = check_memory(model, inputs, size)
    findings = [check_disk(run, model, frozen, size), memory]
    if memory.state == FAIL:
        return findings
    return [*findings, check_time(model, frozen, captions, rows, count, config)]
