"""Progress is written to stderr only, as a bar on a terminal and as plain lines in a pipe."""

import pytest

from runtime import progress as progress_module
from runtime.progress import log, progress


@pytest.fixture
def piped(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def work(parts):
    with progress("fit heads", sum(parts), "heads") as advance:
        for part in parts:
            advance(part)


def test_log_prints_one_line_to_stderr(capsys):
    log("done")
    assert capsys.readouterr() == ("", "done\n")


@pytest.mark.usefixtures("piped")
def test_piped_progress_is_plain_lines_with_count_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "PLAIN_INTERVAL", 0.0)
    work([1, 2, 1])
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err and "\r" not in err
    # No line after the last step, when the work is done.
    first, second = err.splitlines()
    assert first.startswith("fit heads: 1/4, ") and first.endswith(" s left")
    assert second.startswith("fit heads: 3/4, ") and " heads/s, " in second


@pytest.mark.usefixtures("piped")
def test_short_work_prints_no_lines(capsys):
    work([1] * 50)
    assert capsys.readouterr() == ("", "")


def test_terminal_shows_a_bar_on_stderr(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    work([1, 3])
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit heads" in err and "4/4" in err


@pytest.mark.usefixtures("piped")
def test_error_in_the_block_propagates():
    with pytest.raises(ZeroDivisionError), progress("x", 1, "y"):
        raise ZeroDivisionError
