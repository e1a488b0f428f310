"""Valid tables with bytes changed: rows that were not touched come through as written, or the
message says what is wrong; no row is lost in silence."""

import csv
from dataclasses import replace

import pytest
from case_count import CASES, FUZZ, cases
from table_files import (
    check_message,
    check_subset,
    csv_lines,
    draw_memes,
    folder,
    jsonl_lines,
    mutate,
    outcome,
    rows_of,
    untouched,
)

SHARED = 20
"""Mutations of one table."""


def draw_lines(rng, memes, suffix):
    if suffix == "jsonl":
        return jsonl_lines(memes, bool(rng.integers(2)))
    return csv_lines(
        memes,
        ",;\t"[rng.integers(3)],
        ("\n", "\r\n", "\r")[rng.integers(3)],
        (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)[rng.integers(2)],
        (b"", b"\xef\xbb\xbf")[rng.integers(2)],
    )


def expected(memes, kept, header, found):
    """The memes that must be found. Without its label column, a test table has no labels."""
    must = [memes[number - header] for number in kept if number >= header]
    if header and 0 not in kept and {meme.label for meme in found} == {"-1"}:
        return [replace(meme, label="-1") for meme in must]
    return must


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_mutated_table_loses_and_changes_no_row_in_silence(tmp_path, suffix):
    data = folder(tmp_path / "data")
    tried = read = 0
    for case, rng in cases(f"mutated {suffix}"):
        if case % SHARED == 0:
            memes = {"train": draw_memes(rng, 4), "test": draw_memes(rng, 5, 50)}
            lines = {split: draw_lines(rng, rows, suffix) for split, rows in memes.items()}
            for name, parts in lines.items():
                (data / f"{name}.{suffix}").write_bytes(b"".join(parts))
            split = ("train", "test")[rng.integers(2)]
            other = "test" if split == "train" else "train"
        content, start, end = mutate(b"".join(lines[split]), rng)
        (data / f"{split}.{suffix}").write_bytes(content)
        result = outcome(data, ("stop", "blank")[rng.integers(2)])
        tried += 1
        if isinstance(result, str):
            check_message(result, f"{split}.{suffix}")
            continue
        read += 1
        table, notes = result
        # A changed header can leave a table without ids: then the images are, and a note says so.
        if any("no id column" in note or "no image column" in note for note in notes):
            assert start < len(lines[split][0])
            continue
        kept = untouched(lines[split], start, end)
        found = rows_of(table, data, split)
        must = expected(memes[split], kept, suffix == "csv", found)
        check_subset(must, found, f"case {case}: {content!r}")
        assert rows_of(table, data, other) == memes[other]
    assert tried == CASES[f"mutated {suffix}"] * FUZZ and tried / 20 < read < tried


def test_a_mutated_sample_submission_keeps_every_id_that_it_asks_for(tmp_path):
    data = folder(tmp_path / "data")
    tried = read = 0
    for case, rng in cases("mutated submission"):
        if case % SHARED == 0:
            memes = draw_memes(rng, 6, 50)
            (data / "train.csv").write_bytes(b"".join(csv_lines(draw_memes(rng, 4))))
            (data / "test.csv").write_bytes(b"".join(csv_lines(memes)))
            asked = [memes[place] for place in rng.permutation(6)]
            lines = [b"Id,Hateful\n"]
            lines += [b'"%s",0\n' % meme.id.replace('"', '""').encode() for meme in asked]
        content, start, end = mutate(b"".join(lines), rng)
        (data / "sample_submission.csv").write_bytes(content)
        result = outcome(data)
        tried += 1
        if isinstance(result, str):
            check_message(result, "sample_submission.csv")
            continue
        read += 1
        rows = result[0].rows
        test = rows[(rows["split"] == "test") & (rows["order"] >= 0)].sort_values("order")
        kept = untouched(lines, start, end)
        rest = iter(test["id"])
        assert all(asked[n - 1].id in rest for n in kept if n), (case, content)
        assert len(rows[rows["split"] == "test"]) == 6
        assert len(test) == 6 or any("does not ask for" in note for note in result[1])
    assert tried == CASES["mutated submission"] * FUZZ and tried / 20 < read < tried


def test_random_bytes_end_in_a_message_that_names_the_file(tmp_path):
    data = folder(tmp_path / "data")
    (data / "train.csv").write_bytes(b"id,img,text,label\n1,b.png,x,0\n2,b.png,y,1\n")
    heads = (b"", b"id,img,text\n", b'{"id": 1, "img": "b.png", "text": "x"}\n', b"\xff\xfe", b'"')
    alphabet = b'",;\t\n\r{}[]:0\x00\xff\xc3\xa9ab\\'
    tried = 0
    for case, rng in cases("random bytes"):
        name = ("test.csv", "test.tsv", "test.jsonl")[case % 3]
        size = int(rng.integers(1, 200))
        plain = rng.integers(2)
        body = bytes(rng.choice(list(alphabet), size).tolist()) if plain else rng.bytes(size)
        (data / name).write_bytes(heads[rng.integers(len(heads))] + body)
        result = outcome(data)
        tried += 1
        (data / name).unlink()
        # Chance has never made a table out of bytes, save the one row that a head may hold.
        if isinstance(result, str):
            check_message(result, name)
        else:
            assert rows_of(result[0], data, "test")[0].id == "1", case
    assert tried == CASES["random bytes"] * FUZZ
