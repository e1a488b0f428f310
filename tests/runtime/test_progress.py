"""Progress goes to stderr only, so that stdout can be piped; logs hold lines, not bars."""

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


def test_say_is_one_line_on_stderr(capsys):
    log("done")
    assert capsys.readouterr() == ("", "done\n")


@pytest.mark.usefixtures("piped")
def test_piped_progress_is_plain_lines_with_count_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "PLAIN_INTERVAL", 0.0)
    work([1, 2, 1])
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err and "\r" not in err
    # The last step is not announced: nothing is left to wait for.
    first, second = err.splitlines()
    assert first.startswith("fit heads: 1/4, ") and first.endswith(" s left")
    assert second.startswith("fit heads: 3/4, ") and " heads/s, " in second


@pytest.mark.usefixtures("piped")
def test_short_work_does_not_fill_a_log(capsys):
    work([1] * 50)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_on_stderr(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    work([1, 3])
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit heads" in err and "4/4" in err


@pytest.mark.usefixtures("piped")
def test_an_error_inside_passes_through():
    with pytest.raises(ZeroDivisionError), progress("x", 1, "y"):
        raise ZeroDivisionError
