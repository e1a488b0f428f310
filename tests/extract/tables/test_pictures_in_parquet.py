"""Parquet tables that hold the bytes of pictures, as Hugging Face's datasets write them."""

import hashlib
import io
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

from extract.config import ExtractConfig
from extract.data.image_decoding import decode_pictures
from extract.run import extract
from extract.tables.columns import Columns
from extract.tables.parsing import read_table
from extract.tables.read_memes import read_memes
from extract.tables.table_options import TableOptions
from runtime.errors import UserError


def png(number):
    data = io.BytesIO()
    Image.new("RGB", (4, 4), (number, 0, 0)).save(data, "PNG")
    return data.getvalue()


def meme(number, image):
    return {"image": image, "text": f"words {number}", "label": number % 2}


def packed(number, path):
    return meme(number, {"bytes": png(number), "path": path})


def write(folder, train, test, **columns):
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        polars.DataFrame(rows, **columns).write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def read(tmp_path):
    """f(data) -> rows, problems and notes; pictures are unpacked into tmp_path/unpacked."""

    def read(data, **options):
        options = TableOptions(unpack_to=tmp_path / "unpacked", **options)
        table, problems, notes = read_memes(data, options)
        problems += decode_pictures(table, 8, "bilinear")[1]
        return table.rows, [str(problem) for problem in problems], notes

    return read


def test_pictures_are_unpacked_once_by_their_content(read, tmp_path):
    train = [packed(n, f"{n}.png") for n in range(4)]
    data = write(tmp_path / "data", train, [packed(1, "7.png"), packed(9, "9.png")])
    rows, problems, notes = read(data)
    assert not problems
    assert rows["id"].tolist() == ["0.png", "1.png", "2.png", "3.png", "7.png", "9.png"]
    for number, path in zip((0, 1, 2, 3, 1, 9), rows["image"], strict=True):
        assert path == str(tmp_path / "unpacked" / hashlib.sha256(png(number)).hexdigest())
        assert (tmp_path / "unpacked" / path).read_bytes() == png(number)
    assert len(list((tmp_path / "unpacked").iterdir())) == 5
    assert any("5 pictures in the table are unpacked" in note for note in notes)
    assert read(data)[0].equals(rows)


def test_paths_in_the_table_are_names_and_no_file_is_read_or_written_there(read, tmp_path):
    evil = ["../../evil.png", "/etc/passwd", "..", "a/../../b"]
    train = [packed(n, path) for n, path in enumerate(evil)]
    data = write(tmp_path / "data", train, [packed(8, "t")])
    rows, problems, _ = read(data)
    assert not problems and rows["id"].tolist() == [*evil, "t"]
    assert {path.parent for path in map(Path, rows["image"])} == {tmp_path / "unpacked"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "unpacked"]


def test_plain_bytes_without_paths_get_ids_by_table_and_row(read, tmp_path):
    data = write(tmp_path / "data", [meme(n, png(n)) for n in range(2)], [meme(3, png(3))])
    rows, problems, _ = read(data)
    assert not problems and rows["id"].tolist() == ["train-1", "train-2", "test-1"]


def test_a_path_without_bytes_is_looked_for_in_the_data_folder(read, tmp_path):
    data = tmp_path / "data"
    (data / "img").mkdir(parents=True)
    (data / "img" / "a.png").write_bytes(png(1))
    train = [meme(0, {"bytes": None, "path": "img/a.png"}), packed(1, "b.png")]
    test = [meme(2, {"bytes": None, "path": None}), meme(3, {"bytes": None, "path": "../x.png"})]
    kind = polars.Struct({"bytes": polars.Binary, "path": polars.String})
    for row, name in zip(train + test, "abcd", strict=True):
        row["id"] = name
    write(data, train, test, schema_overrides={"image": kind})
    rows, problems, _ = read(data)
    assert rows["image"].iloc[0] == str(data / "img" / "a.png")
    assert rows["image"].tolist()[2:] == ["", ""]
    assert len(problems) == 1 and "allowed a path that stays in the data folder" in problems[0]


def test_damaged_bytes_are_bad_rows(read, tmp_path):
    train = [packed(0, "0"), meme(1, {"bytes": png(1)[:40], "path": "1"})]
    data = write(tmp_path / "data", train, [meme(2, {"bytes": b"", "path": "2"})])
    _, problems, _ = read(data)
    assert [problem.split(": ")[0] for problem in problems] == ["train.parquet:2", "test.parquet:1"]
    assert "cannot be decoded" in problems[0] and "it is empty" in problems[1]


def test_parts_of_a_table_are_joined_and_a_missing_one_is_named(read, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for part in range(3):
        rows = polars.DataFrame([meme(n, png(n)) for n in range(part * 2, part * 2 + 2)])
        rows.write_parquet(data / f"train-0000{part}-of-00003.parquet")
    polars.DataFrame([meme(7, png(7))]).write_parquet(data / "test-00000-of-00001.parquet")
    rows, _, _ = read(data)
    assert rows["caption"].tolist() == [f"words {n}" for n in (0, 1, 2, 3, 4, 5, 7)]
    assert rows["id"].iloc[2] == "train-00001-of-00003-1" and rows["id"].is_unique
    (data / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError, match=r"lacks part 1 .* of the 00003 of train-00000-of-00003"):
        read(data)


def test_other_bytes_are_refused_by_column(read, tmp_path):
    rows = [{"id": "1", "text": "t", "label": 0, "image": "a.png", "sounds": [b"x"]}]
    with pytest.raises(UserError, match=r"column sounds holds List\(Binary\).*with a path"):
        read(write(tmp_path / "lists", rows, rows))
    rows = [meme(n, png(n)) | {"text": b"words", "id": str(n)} for n in range(2)]
    with pytest.raises(UserError, match="column text: found bytes, allowed text"):
        read(write(tmp_path / "captions", rows, rows[:1]))
    write(tmp_path / "nowhere", [packed(0, "0"), packed(1, "1")], [packed(2, "2")])
    with pytest.raises(
        UserError, match=r"column image holds Struct.*allowed are paths of pictures"
    ):
        read_memes(tmp_path / "nowhere")


def test_only_the_column_of_pictures_is_unpacked(read, tmp_path):
    rows = [meme(n, png(n)) | {"thumbnail": png(100 + n), "audio": [b"x"]} for n in range(3)]
    table, problems, _ = read(write(tmp_path / "data", rows[:2], rows[2:]))
    assert not problems and (table["image"] != "").all()
    names = {hashlib.sha256(png(n)).hexdigest() for n in range(3)}
    assert {path.name for path in (tmp_path / "unpacked").iterdir()} == names
    rows = [{"a": png(n), "b": png(9 + n), "id": str(n), "text": "t", "label": n} for n in (0, 1)]
    data = write(tmp_path / "two", rows, rows[:1])
    table, _, _ = read(data, columns=Columns(image="b"))
    assert [Path(path).read_bytes() for path in table["image"]] == [png(9), png(10), png(9)]


def test_refused_data_leave_no_unpacked_pictures(tmp_path, tiny_weights):
    rows = [packed(n, f"{n}.png") | {"label": 7} for n in range(4)]
    data = write(tmp_path / "data", rows, rows)
    config = ExtractConfig(
        data=str(data),
        image_weights=str(tiny_weights / "image"),
        text_weights=str(tiny_weights / "text"),
        device="cpu",
    )
    with pytest.raises(UserError, match="allowed 0 or 1"):
        extract(config, tmp_path / "runs" / "r")
    assert not (tmp_path / "runs" / "r").exists()


def test_a_full_disk_is_named_and_leaves_no_part_of_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    rows = [meme(0, rng.bytes(1000)), meme(1, rng.bytes(100_000))]
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet", compression="uncompressed")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, old[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be unpacked into .*File too large"):
            read_table.read_table(tmp_path / "a.parquet", unpack_to=tmp_path / "unpacked")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    [written] = (tmp_path / "unpacked").iterdir()
    assert written.stat().st_size == 1000


PEAK = """import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    used = []
    for count in (512, 1536):
        path, folder = tmp_path / f"{count}.parquet", tmp_path / str(count)
        rows = {"image": [number.to_bytes(60_000) for number in range(count)]}
        polars.DataFrame(rows).write_parquet(path, row_group_size=128, compression="uncompressed")
        folder.mkdir()
        command = [sys.executable, "-c", PEAK, read_table.PARQUET_AS_JSON, path, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used.append(int(done.stderr) / 1000)
    assert used[1] - used[0] < 45  # MB; the larger file has 61 MB more
