"""Variants of a run with some of its spaces are whole runs for stage two."""

from benchmarks.ablation import copy_spaces
from benchmarks.stage_two import write_run
from features.hdf5_store import read_features
from runtime.files.json_files import read_json, write_json


def test_copy_of_some_spaces_has_the_records_of_its_features(tmp_path):
    source = tmp_path / "runs" / "whole"
    write_run(source, 40, folds=2)
    write_json(source / "data.json", {"stamp": "x", "contradictions": []})
    (source / "memes.jsonl").write_text("")
    copy_spaces(tmp_path, "whole", "part", ["fine-tuned"])
    copied = read_features(tmp_path / "runs" / "part" / "features.h5")
    assert [space.name for space in copied.spaces] == ["space_0", "space_1"]
    data = read_json(tmp_path / "runs" / "part" / "data.json", "extract")
    assert data == {"stamp": copied.attributes["stamp"], "contradictions": []}
