"""Valid tables are read back as written, with any text in captions and ids."""

import csv
import io
import json
from dataclasses import replace

from case_count import CASES, FUZZ, cases, examples
from hypothesis import given
from hypothesis import strategies as st
from table_files import Meme, create_data_folder, read_table, rows_of

from extract.tables.parsing.text_cells import is_absent
from extract.tables.read_memes import read_unlabelled

# Without NUL and surrogates, which are refused.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
CAPTION = TEXT.filter(str.strip)
ID = TEXT.filter(lambda text: text.strip() and not set("\r\n") & set(text))
MEMES = st.lists(
    st.builds(Meme, ID, st.just("b.png"), CAPTION, st.sampled_from("01")),
    min_size=1,
    max_size=5,
    unique_by=lambda meme: meme.id,
)
FIELDS = ("id", "img", "text", "label")


def check_written(tmp_path, kind, suffix, write, *strategies):
    """Check that reading the text of `write(memes, ...)` gives the memes."""
    data = create_data_folder(tmp_path)
    tried = 0

    @examples(kind)
    @given(MEMES, st.tuples(*strategies))
    def check(memes, chosen):
        nonlocal tried
        tried += 1
        path = data / f"new.{suffix}"
        path.write_bytes(write(memes, *chosen).encode())
        table, problems, _ = read_unlabelled(path)
        expected = [replace(m, text="" if is_absent(m.text) else m.text) for m in memes]
        assert not problems and rows_of(table, data, "test") == expected

    check()
    assert tried >= CASES[kind] * FUZZ


def test_csv_variants_are_read_back(tmp_path):
    def write(memes, delimiter, end, quoting, bom, blank):
        lines = []
        for fields in (FIELDS, *(vars(meme).values() for meme in memes)):
            line = io.StringIO(newline="")
            # csv.writer of Python 3.11 quotes a lone CR only if its line terminator contains CR.
            csv.writer(line, delimiter=delimiter, quoting=quoting).writerow(fields)
            lines.append(line.getvalue().removesuffix("\r\n"))
        return bom + (end * (1 + blank)).join(lines) + end * blank

    choices = (
        st.sampled_from(",;\t"),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        st.sampled_from(["", "\ufeff"]),
        st.integers(0, 1),
    )
    check_written(tmp_path, "written csv", "csv", write, *choices)


def test_jsonl_variants_are_read_back(tmp_path):
    def write(memes, ascii_only, end, bom):
        return bom + end.join(json.dumps(vars(m), ensure_ascii=ascii_only) for m in memes)

    choices = (
        st.booleans(),
        st.sampled_from(["\n", "\r\n", "\n\n"]),
        st.sampled_from(["", "\ufeff"]),
    )
    check_written(tmp_path, "written jsonl", "jsonl", write, *choices)


def test_captions_of_a_megabyte_are_read_completely(tmp_path):
    data = create_data_folder(tmp_path)
    text = 'ab, "c"\n🦨' * 110_000
    quoted = text.replace('"', '""')
    (data / "new.csv").write_bytes(f'id,img,text\n007,b.png,"{quoted}"\n8,b.png,x\n'.encode())
    table, problems, _ = read_unlabelled(data / "new.csv")
    assert not problems and table.rows["caption"].tolist() == [text, "x"]
    (data / "new.csv").write_bytes(f'id,img,text\n7,{"x" * 2**20},"{"y" * 2**20}\0"\n'.encode())
    _, problems, _ = read_unlabelled(data / "new.csv")
    assert len(problems) == 2 and all(len(str(problem)) < 500 for problem in problems)


def odd_value(rng, depth=0):
    """Return unusual or invalid JSON."""
    leaves = (
        *("NaN", "Infinity", "-Infinity", "-0", "1e999", "9" * 6000, "1.10", "true", "null", "01"),
        *('"\\ud83d"', '"\\udce9"', '"\\u0000"', '"', '"a', "'a'", '"\\x"', '"\t"', '"x"', '""'),
        *("[" * 3000, '{"a":' * 3000, "[]", "{}", "", "undefined", "+1", ".5", '"\\ud83e\\udda8"'),
    )
    if depth < 3 and rng.integers(4) == 0:
        inside = ",".join(odd_value(rng, depth + 1) for _ in range(rng.integers(3)))
        return f"[{inside}]"
    return leaves[rng.integers(len(leaves))]


def test_odd_json_is_a_named_problem_or_read_as_written(tmp_path):
    data = create_data_folder(tmp_path / "data")
    (data / "train.csv").write_bytes(b"id,img,text,label\n1,b.png,x,0\n2,b.png,y,1\n")
    good = [Meme("0a", "b.png", "before", "1"), Meme("0z", "b.png", "after", "0")]
    tried = read = 0
    for case, rng in cases("odd json"):
        cells = {"id": '"m"', "img": '"b.png"', "text": '"w"', "label": "1", "more": "3"}
        name = list(cells)[rng.integers(5)]
        value = cells[name] = odd_value(rng)
        odd = "{" + ",".join(f'"{key}": {cell}' for key, cell in cells.items()) + "}"
        if rng.integers(8) == 0:
            odd = odd.replace("{", f'{{"{name} ": 1,', 1)
        lines = [json.dumps(vars(good[0])), odd, json.dumps(vars(good[1]))]
        (data / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
        result = read_table(data)
        tried += 1
        if isinstance(result, str):
            assert "test.jsonl:2: " in result and ":1: " not in result and ":3: " not in result
            assert len(result) < 1000
            continue
        read += 1
        first, row, last = rows_of(result[0], data, "test")
        assert [first, last] == good and odd.count('"id') == 1, case
        # Numbers and literals are read as written, strings as JSON decodes them.
        written = json.loads(value) if value.startswith('"') else value
        if name == "text" and is_absent(written):
            written = ""
        if name in ("id", "text"):
            assert {"id": row.id, "text": row.text}[name] == written, (case, odd)
    assert tried == CASES["odd json"] * FUZZ and tried / 20 < read < tried
