"""Data sets in random forms: read as they lie, or with the flags that messages advise."""

import shutil
from pathlib import Path

from case_count import CASES, FUZZ, cases
from published_forms import draw_form, draw_rows, flags_in, write_form

from extract.config import ExtractConfig
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from runtime.errors import UserError

TRIES = 5
"""More flags than this are never needed: encoding, text, label and positive."""


def read_with_advice(data):
    """Read; follow the advice of each message. Returns the rows and the flags."""
    flags = {}
    for _ in range(TRIES):
        try:
            options = table_options(ExtractConfig(data=str(data), **flags))
            table, problems, _ = read_memes(data, options)
            return resolve_bad_rows(table, problems, "stop")[0].rows, flags
        except UserError as error:
            message = str(error)
            assert len(message.splitlines()) <= 12, message
            advised = flags_in(message)
            assert advised and not advised.items() <= flags.items(), (message, flags, data)
            flags |= advised
    raise AssertionError(f"{TRIES} messages did not suffice: {message}")


def test_form_is_read_as_written_with_the_flags_that_messages_advise(tmp_path):
    tried, with_flags = 0, 0
    for case, rng in cases("published forms"):
        data = tmp_path / "data"
        shutil.rmtree(data, ignore_errors=True)
        form = draw_form(rng)
        rows = draw_rows(form, data)
        write_form(form, rows, data, rng)
        found, flags = read_with_advice(data)
        tried, with_flags = tried + 1, with_flags + bool(flags)
        expected = [meme for memes in rows.values() for meme in memes]
        assert found["id"].tolist() == [meme["id"] for meme in expected], (case, form)
        assert found["caption"].tolist() == [meme["text"] for meme in expected], (case, form)
        assert found["label"].tolist() == [meme["label"] for meme in expected], (case, form, flags)
        for image, meme in zip(found["image"], expected, strict=True):
            assert bool(image) == bool(meme["image"]), (case, form)
            assert not image or Path(image).samefile(meme["image"]), (case, form)
    assert tried == CASES["published forms"] * FUZZ and 0 < with_flags < tried
