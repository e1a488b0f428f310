"""Test both pages in headless Chromium, on a phone and a desktop, light and dark."""

import json
import shutil

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install -r requirements.txt")

from chromium_pipe import Chromium
from running_app import running

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium: apt-get install chromium")

TOKEN = "a-token-of-22-letters."
WIDE = """[...document.body.querySelectorAll("*")]
  .filter(e => !e.closest("pre") && e.getBoundingClientRect().right > innerWidth)
  .map(e => e.tagName + "." + e.className)"""
UNNAMED = """[...document.querySelectorAll("input, textarea, button, img")]
  .filter(e => !(e.labels?.length || e.innerText?.trim() || e.alt || e.ariaLabel)
    && e.checkVisibility())
  .map(e => e.outerHTML)"""
CONTRASTS = """(() => {
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = numbers(c).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = e => {
    const colour = getComputedStyle(e).backgroundColor;
    return numbers(colour)[3] === 0 ? paper(e.parentElement) : colour;
  };
  const texts = [...document.body.querySelectorAll("*")].filter(
    e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
      && !e.disabled);
  return texts.map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(paper(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + "." + e.className];
  }).filter(([ratio]) => ratio < 4.5);
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Chromium(BROWSER, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """The browser, without messages and entries of earlier tests."""
    browser.console.clear()
    browser.origins.clear()
    return browser


def check_layout(page):
    assert page.run(WIDE) == []
    assert page.run(UNNAMED) == []
    assert page.run(CONTRASTS) == []


def type_caption(page, text):
    page.run(f"caption.value = {json.dumps(text)}; caption.dispatchEvent(new Event('input'))")


SCREENS = [(360, True), (1280, False)]


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_try(make_app, page, predictor, png, tmp_path, width, dark):
    (tmp_path / "meme.png").write_bytes(png)
    with running(make_app()) as place:
        page.show(f"http://{place}/", width, dark=dark)
        check_layout(page)
        assert page.text("number") == "–"
        page.run("caption.focus()")
        for letter in "hhha":
            page.key(letter)
        page.wait("number.innerText === '75.0\\u00a0%'")
        assert page.text("decision") == "Hateful"
        assert "50.0\u00a0%" in page.text("detail") and "c0ffee" in page.text("detail")
        assert page.run("fill.offsetWidth / bar.offsetWidth") == pytest.approx(0.75, abs=0.01)
        assert len(predictor.batches) == 1, "not debounced"
        check_layout(page)
        page.choose_file("#picture", tmp_path / "meme.png")
        page.wait("preview.naturalWidth === 160")
        type_caption(page, "aa")
        page.wait("decision.innerText === 'Not hateful'")
        check_layout(page)
        page.run("document.getElementById('remove').click()")
        (tmp_path / "meme.png").write_text("none")
        page.choose_file("#picture", tmp_path / "meme.png")
        page.wait("detail.innerText === 'Not a picture'")
        check_layout(page)
        assert page.origins <= {f"http://{place}", f"blob:http://{place}", "blob:http:/"}
    messages = [x for x in page.console if "422" not in x]  # the browser logs each failed request
    assert messages == []


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_why(make_app, fake_explainer, page, png, tmp_path, width, dark):
    (tmp_path / "meme.png").write_bytes(png)
    with running(make_app(explain=fake_explainer.explain)) as place:
        page.show(f"http://{place}/", width, dark=dark)
        assert page.run("why.disabled")
        page.choose_file("#picture", tmp_path / "meme.png")
        type_caption(page, "so many happy <b>people</b>")
        page.wait("!why.disabled")
        page.run("why.focus()")
        page.key(" ")
        page.wait("!explanation.hidden && document.activeElement.id === 'why-title'")
        page.wait("document.getElementById('parts-picture').naturalWidth === 160")
        check_layout(page)
        assert page.run("alone.innerText.split('\\n').filter(Boolean)") == [
            "Picture alone", "60.0\u00a0%", "Caption alone", "20.0\u00a0%", "Both", "75.0\u00a0%",
        ]  # fmt: skip
        assert page.run("words.textContent.trim()") == (
            "so (\u22124.0) many (0.0) happy (+2.0) <b>people</b> (+18.0)"
        )
        assert page.run("document.getElementById('word-list').innerText.split(/\\s+/)") == [
            "<b>people</b>", "+18.0", "so", "\u22124.0", "happy", "+2.0", "many", "0.0",
        ]  # fmt: skip
        assert page.run("[parts.children[0].textContent, parts.children[8].textContent]") == [
            "Top left: \u22127.5", "Bottom right: +12.5",
        ]  # fmt: skip
        assert page.run("nearest.rows[0].innerText.split(/\\s+/)") == (
            ["a", "happy", "cat", "01", "Not", "hateful", "0.91"]
        )
        assert page.text("novelty").startswith("97\u00a0% of the training memes")
        type_caption(page, "aa")
        assert page.run("explanation.hidden && why.disabled"), "an old explanation stays"
        page.run("document.getElementById('remove').click()")
        page.wait("!why.disabled")
        page.run("why.click()")
        page.wait("!explanation.hidden")
        assert page.run("alone.children.length") == 1
        check_layout(page)
    assert page.console == []


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_review(make_app, page, tmp_path, width, dark):
    blur = "getComputedStyle(document.getElementById('picture')).filter.includes('blur')"
    with running(make_app()) as place:
        page.show(f"http://{place}/review", width, dark=dark)
        check_layout(page)
        page.run("reviewer.value = 'Ada'; who.requestSubmit()")
        ready = "document.querySelector('[data-decision]').disabled === false"
        page.wait(f"document.getElementById('left').innerText === '3 left' && {ready}")
        page.wait("document.getElementById('picture').naturalWidth === 160")
        check_layout(page)
        assert page.run(blur)
        page.key("r", types=["keyDown"])
        assert not page.run(blur)
        page.key("r", types=["keyUp"])
        assert page.run(blur)
        page.run("veil.click()")
        assert not page.run(blur)
        page.key("h")
        page.wait(f"document.getElementById('left').innerText === '2 left' && {ready}")
        assert page.text("caption") == "caption 7"
        page.key("u")
        page.wait(f"document.getElementById('left').innerText === '3 left' && {ready}")
        assert page.text("caption") == "caption 4" and page.run(blur)
        for left, key in ((2, "n"), (1, "s"), (0, "h")):
            page.wait(ready)
            page.key(key)
            page.wait(f"document.getElementById('left').innerText === '{left} left'")
        page.wait("message.innerText.includes('All done')")
        check_layout(page)
        page.show(f"http://{place}/docs", width, dark=dark)
        check_layout(page)
        page.show(f"http://{place}/review", width)
        assert page.run("who.hidden"), "the name is asked again"
        page.run("localStorage.clear()")
    lines = [json.loads(x) for x in (tmp_path / "review.jsonl").read_text().splitlines()]
    decisions = [(line["id"], line["decision"]) for line in lines]
    assert decisions == [
        ("m4", "hateful"), ("m4", "undo"), ("m4", "not"), ("m7", "skip"), ("m9", "hateful"),
    ]  # fmt: skip
    # The picture of m9 is gone.
    assert [x for x in page.console if "404" not in x] == []


def test_the_page_asks_for_the_token_until_it_is_right(make_app, page):
    with running(make_app(token=TOKEN)) as place:
        page.show(f"http://{place}/", 360)
        type_caption(page, "h")
        for token in ("wrong", TOKEN):
            page.wait("document.querySelector('dialog')?.open")
            check_layout(page)
            page.run(f"token.value = {token!r}; token.form.requestSubmit()")
        page.wait("number.innerText === '100.0\\u00a0%'")
        page.show(f"http://{place}/", 360)
        type_caption(page, "ha")
        page.wait("number.innerText === '50.0\\u00a0%'")
