"""Mutated tables: unchanged rows are read as written, or an error is raised; no row is lost
silently."""

import csv
from dataclasses import replace

import numpy as np
import polars
import pytest
from case_count import CASES, FUZZ, cases
from table_files import (
    check_message,
    check_subset,
    create_data_folder,
    csv_lines,
    draw_memes,
    json_lines,
    jsonl_lines,
    mutate,
    read_table,
    rows_of,
    unchanged_lines,
)

MUTATIONS = 20
"""Number of mutations of one table."""


def draw_lines(rng, memes, suffix):
    if suffix == "jsonl":
        return jsonl_lines(memes, bool(rng.integers(2)))
    if suffix == "json":
        return json_lines(memes)
    return csv_lines(
        memes,
        ",;\t"[rng.integers(3)],
        ("\n", "\r\n", "\r")[rng.integers(3)],
        (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)[rng.integers(2)],
        (b"", b"\xef\xbb\xbf")[rng.integers(2)],
    )


def expected_memes(memes, unchanged, header, found):
    """Return the memes that must be found. A test table without a label column has no labels."""
    expected = [memes[number - header] for number in unchanged if number >= header]
    if header and 0 not in unchanged and {meme.label for meme in found} == {"-1"}:
        return [replace(meme, label="-1") for meme in expected]
    return expected


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_mutated_table_loses_or_changes_no_row_silently(tmp_path, suffix):
    data = create_data_folder(tmp_path / "data")
    tried = read = 0
    for case, rng in cases(f"mutated {suffix}"):
        if case % MUTATIONS == 0:
            memes = {"train": draw_memes(rng, 4), "test": draw_memes(rng, 5, 50)}
            lines = {split: draw_lines(rng, rows, suffix) for split, rows in memes.items()}
            for name, parts in lines.items():
                (data / f"{name}.{suffix}").write_bytes(b"".join(parts))
            split = ("train", "test")[rng.integers(2)]
            other = "test" if split == "train" else "train"
        content, start, end = mutate(b"".join(lines[split]), rng)
        (data / f"{split}.{suffix}").write_bytes(content)
        result = read_table(data, ("stop", "blank")[rng.integers(2)])
        tried += 1
        if isinstance(result, str):
            check_message(result, f"{split}.{suffix}")
            continue
        read += 1
        table, notes = result
        # Without an id column in a mutated header, the images are the ids, and a note says so.
        if any("no id column" in note or "no image column" in note for note in notes):
            assert start < len(lines[split][0])
            continue
        unchanged = unchanged_lines(lines[split], start, end)
        found = rows_of(table, data, split)
        expected = expected_memes(memes[split], unchanged, suffix != "jsonl", found)
        check_subset(expected, found, f"case {case}: {content!r}")
        assert rows_of(table, data, other) == memes[other]
    assert tried == CASES[f"mutated {suffix}"] * FUZZ and tried / 20 < read < tried


def test_mutated_sample_submission_keeps_every_unchanged_id(tmp_path):
    data = create_data_folder(tmp_path / "data")
    tried = read = 0
    for case, rng in cases("mutated submission"):
        if case % MUTATIONS == 0:
            memes = draw_memes(rng, 6, 50)
            (data / "train.csv").write_bytes(b"".join(csv_lines(draw_memes(rng, 4))))
            (data / "test.csv").write_bytes(b"".join(csv_lines(memes)))
            submission = [memes[index] for index in rng.permutation(6)]
            lines = [b"Id,Hateful\n"]
            lines += [b'"%s",0\n' % meme.id.replace('"', '""').encode() for meme in submission]
        content, start, end = mutate(b"".join(lines), rng)
        (data / "sample_submission.csv").write_bytes(content)
        result = read_table(data)
        tried += 1
        if isinstance(result, str):
            check_message(result, "sample_submission.csv")
            continue
        read += 1
        rows = result[0].rows
        test = rows[(rows["split"] == "test") & (rows["order"] >= 0)].sort_values("order")
        unchanged = unchanged_lines(lines, start, end)
        remaining = iter(test["id"])
        assert all(submission[n - 1].id in remaining for n in unchanged if n), (case, content)
        assert len(rows[rows["split"] == "test"]) == 6
        assert len(test) == 6 or any("does not ask for" in note for note in result[1])
    assert tried == CASES["mutated submission"] * FUZZ and tried / 20 < read < tried


def test_random_bytes_are_refused_with_the_file_named(tmp_path):
    data = create_data_folder(tmp_path / "data")
    (data / "train.csv").write_bytes(b"id,img,text,label\n1,b.png,x,0\n2,b.png,y,1\n")
    starts = (
        b"",
        b"id,img,text\n",
        b'{"id": 1, "img": "b.png", "text": "x"}\n',
        b"\xff\xfe",
        b'"',
    )
    alphabet = b'",;\t\n\r{}[]:0\x00\xff\xc3\xa9ab\\'
    tried = 0
    for case, rng in cases("random bytes"):
        name = ("test.csv", "test.tsv", "test.jsonl")[case % 3]
        size = int(rng.integers(1, 200))
        plain = rng.integers(2)
        body = bytes(rng.choice(list(alphabet), size).tolist()) if plain else rng.bytes(size)
        (data / name).write_bytes(starts[rng.integers(len(starts))] + body)
        result = read_table(data)
        tried += 1
        (data / name).unlink()
        # Random bytes never form a table, except for the one row in `starts`.
        if isinstance(result, str):
            check_message(result, name)
        else:
            assert rows_of(result[0], data, "test")[0].id == "1", case
    assert tried == CASES["random bytes"] * FUZZ


def test_mutated_parquet_keeps_its_rows_or_is_refused(tmp_path):
    data = create_data_folder(tmp_path / "data")
    memes = draw_memes(np.random.default_rng(0), 6)
    (data / "train.csv").write_bytes(b"".join(csv_lines(draw_memes(np.random.default_rng(1), 4))))
    path = data / "test.parquet"
    polars.DataFrame([vars(meme) for meme in memes]).write_parquet(path)
    content = path.read_bytes()
    assert rows_of(read_table(data)[0], data, "test") == memes
    tried = read = 0
    for _, rng in cases("mutated parquet"):
        path.write_bytes(mutate(content, rng)[0])
        result = read_table(data)
        tried += 1
        if isinstance(result, str):
            check_message(result, "test.parquet")
        else:
            read += 1
            # Parquet has no checksums here: a changed byte may be a changed letter.
            assert len(result[0].rows) == 4 + len(memes)
    assert tried == CASES["mutated parquet"] * FUZZ and 0 < read < tried
