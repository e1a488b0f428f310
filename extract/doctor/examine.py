"""The checks that need the libraries, in the order in which one feeds the next."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from extract.config import ExtractConfig
from extract.data.batches import Inputs
from extract.data.load_data import Prepared
from extract.data.tokenisation import Captions, tokenise
from extract.doctor.check_data import Memes, check_data
from extract.doctor.check_disk_memory import Load, check_disk, check_memory
from extract.doctor.check_labels import (
    MOST_GROUPED,
    check_balance,
    check_captions,
    check_contradictions,
    check_folds,
    check_near_duplicates,
    check_shift,
    left_out,
)
from extract.doctor.check_machine import check_device, check_openmp, check_threads
from extract.doctor.check_run_folder import check_features, check_folder, check_lock
from extract.doctor.check_time import check_time, longest, made_up
from extract.doctor.check_weights import check_weights
from extract.doctor.finding import FAIL, WARNING, Finding
from extract.duplicates.near_duplicates import group_memes
from extract.sample import write_sample
from extract.spaces.fine_tuned import freeze_words
from extract.spaces.setup import identify, resolve
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones
from features.feature_table import Rows


def examine(config: ExtractConfig, run: Path) -> list[Finding]:
    """Machine, run folder, weights, data, and what these need together."""
    config = resolve(config)
    machine, device = check_device(config.device, config.precision)
    findings = [device, check_threads(), check_openmp(), check_folder(run), check_lock(run)]
    backbones, found = check_weights(config)
    findings += found
    with _data(config) as folder:
        memes, found = check_data(config, folder)
    findings += found
    rows = None
    if memes:
        rows, found = _check_rows(memes, config)
        findings += found
    if memes and backbones:
        captions = _tokens(memes, backbones, config)
        findings.append(check_captions(captions, backbones.text, config))
        if not any(finding.name == "rows" and finding.state == FAIL for finding in findings):
            findings.append(_check_features(run, memes, captions, backbones, config))
        if machine:
            findings += _check_room(run, memes, rows, captions, backbones, machine, config)
    if not (memes and backbones and machine):
        lacking = [
            name
            for name, there in (("data", memes), ("weights", backbones), ("a device", machine))
            if not there
        ]
        found = f"not looked at: disk, memory and time need {' and '.join(lacking)}"
        findings.append(Finding(WARNING, "room", found, "mend that first, then ask again"))
    return findings


@contextmanager
def _data(config: ExtractConfig) -> Iterator[Path]:
    """The user's data, or the sample for as long as it is looked at."""
    if config.data:
        yield Path(config.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield write_sample(Path(folder) / "sample", config.sample_memes, config.seed)


def _check_rows(memes: Memes, config: ExtractConfig) -> tuple[Rows, list[Finding]]:
    table, pictures = memes
    count, few = len(table), len(table) <= MOST_GROUPED
    group = group_memes(table, pictures) if few else np.arange(count, dtype=np.int32)
    columns = (table.rows[name].to_numpy() for name in ("id", "split", "label", "order"))
    key, split, label, order = columns
    nowhere = np.full(count, -1, dtype=np.int16)
    rows = Rows(key.astype(object), split.astype(object), label, group, nowhere, order)
    findings = [
        check_balance(rows),
        check_shift(rows),
        check_contradictions(table, pictures, rows),
    ]
    if few:
        return rows, [*findings, check_near_duplicates(rows), check_folds(rows, config)]
    captions = table.rows["caption"].nunique()
    return rows, [*findings, left_out(len(pictures.digests), captions)]


def _tokens(memes: Memes, backbones: Backbones, config: ExtractConfig) -> Captions:
    text = backbones.text
    limit = min(config.max_tokens, text.max_tokens)
    return tokenise(memes[0].rows["caption"].tolist(), text.tokenizer, limit, text.pad_id)


def _check_features(
    run: Path, memes: Memes, captions: Captions, backbones: Backbones, config: ExtractConfig
) -> Finding:
    table, pictures = memes
    prepared = Prepared(table, Inputs(pictures, captions), [])
    return check_features(run, identify(config, backbones, prepared))


def _check_room(
    run: Path,
    memes: Memes,
    rows: Rows,
    captions: Captions,
    backbones: Backbones,
    machine: Machine,
    config: ExtractConfig,
) -> list[Finding]:
    """Disk, memory, and if that suffices a rehearsal."""
    table, pictures = memes
    count = len(pictures.digests)
    freeze_words(backbones.text)
    fusion = FUSIONS[config.fusion](backbones.image.dim, backbones.text.dim)
    model = JointModel(backbones.image, backbones.text, fusion, machine)
    load = Load(
        len(table), count, config.image_size, config.folds, min(config.batch_size, len(table))
    )
    few = made_up(captions, longest(captions, 4), config.image_size)
    memory = check_memory(model, few, load)
    findings = [check_disk(run, model, load), memory]
    if memory.state == FAIL:
        return findings
    return [*findings, check_time(model, captions, rows, count, config)]
