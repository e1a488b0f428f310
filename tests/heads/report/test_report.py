"""The report: whole, self-contained, safe from what captions say, and right about noise."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import planted
import pytest
from made_up_run import HOSTILE, finish, silence
from markupsafe import Markup
from PIL import Image
from sklearn.metrics import roc_auc_score

from heads.config import SubmitConfig
from heads.evaluation.bootstrap import interval, resampling_weights
from heads.report import gallery
from heads.report.build import write_report
from heads.report.conclusions import make_conclusions
from heads.report.curves import draw_reliability, draw_thresholds
from heads.report.finished_run import ENSEMBLE, read_run
from heads.report.formatting import duration, joined, markdown_text, shorten, signed
from heads.report.gallery import thumbnail
from heads.report.paired_differences import Difference, difference
from heads.report.svg import INK, Canvas, drawing
from heads.run import submit
from runtime.errors import UserError
from runtime.json_files import read_json, write_json

SECTIONS = ["conclusions", "heads", "plots", "mistakes", "check", "data"]
VOID = {"meta", "link", "img", "input", "br", "path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """Tags with their attributes, all text, and what was opened and not closed."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def says(self, words):
        return words in " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def page(told):
    return Page(told / "report.html")


@pytest.fixture
def undrawn(monkeypatch):
    """Plots take most of a report's time; some tests look elsewhere."""
    monkeypatch.setattr(Canvas, "svg", lambda *_: Markup("<svg></svg>"))


def rewrite(path, change):
    content = read_json(path, "submit")
    change(content)
    write_json(path, content)


def repaint(run, change):
    """Change memes.jsonl line by line."""
    path = run / "memes.jsonl"
    memes = [json.loads(line) for line in path.read_text().split("\n") if line]
    for meme in memes:
        change(meme)
    path.write_text("\n".join(json.dumps(meme) for meme in memes))


# The page


def test_the_page_has_its_sections_and_every_tag_is_closed(page):
    assert [one["id"] for one in page.all("section")] == SECTIONS
    assert page.open == []
    assert len(page.all("h1")) == 1


def test_nothing_is_fetched_from_anywhere_and_nothing_runs(page):
    assert page.all("script") == []
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), tag
            if name in ("src", "href", "xlink:href"):
                assert re.match("#|data:", value), (tag, value[:80])
    assert "url(http" not in page.source and "@import" not in page.source
    (policy,) = [m for m in page.all("meta") if "http-equiv" in m]
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "script-src" not in policy["content"]


def test_a_hostile_caption_stays_text_in_page_and_markdown(told, page):
    assert page.says('<script>alert("1")</script> & <img src=x onerror=alert(2)> {{ 7 * 7 }}')
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    markdown = (told / "report.md").read_text()
    assert "<script>" not in markdown.replace(r"\<script\>", "")
    assert "[y](" not in markdown


def test_ids_are_used_once_and_all_that_is_referred_to_exists(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a in page.tags if a.get("href", "").startswith("#")}
    used |= set(re.findall(r"url\(#([^)]+)\)", page.source))
    used |= {a["for"] for _, a in page.tags if "for" in a}
    assert used <= set(ids)


def test_plots_take_their_colours_and_font_from_the_page(page):
    assert len(page.all("svg")) == 10
    for number in range(page.source.count("<svg")):
        svg = page.source.split("<svg")[number + 1].split("</svg>")[0]
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
        assert "var(--" in svg and "<text" in svg and "DejaVu" not in svg
    variables = set(re.findall(r"var\(--([a-z]+)\)", page.source)) - {"share", "tone", "serif"}
    style = page.source.split("<style>")[1].split("</style>")[0]
    light, dark = style.split("@media (prefers-color-scheme: dark)")[:2]
    for name in variables | set(INK):
        assert f"--{name}:" in light and f"--{name}:" in dark.split("}")[0], name


def test_pictures_are_blurred_behind_a_switch_that_a_keyboard_reaches(page):
    switches = [i for i in page.all("input") if i.get("aria-label", "").startswith("Show the pict")]
    assert len(switches) == len(page.all("img")) > 12
    assert all(switch["type"] == "checkbox" for switch in switches)
    assert "filter: blur" in page.source


def test_the_same_run_gives_the_same_bytes(told, run):
    before = {name: (told / name).read_bytes() for name in ("report.html", "report.md")}
    write_report(run)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_markdown_has_the_tables_that_the_page_has(told):
    text = (told / "report.md").read_text()
    assert text.startswith("# run: ")
    tables = re.findall(r"(?:^\|.*\|$\n)+", text, flags=re.MULTILINE)
    for table in tables:
        assert len({line.count("|") - line.count(r"\|") for line in table.splitlines()}) == 1
    assert len(tables) == 6
    for head in ("**ensemble**", "linear", "knn", "joint", "_image only_", "_text only_"):
        assert sum(f"| {head}" in table for table in tables) >= 2, head
    assert "\n\n\n" not in text


# Runs of all kinds


@pytest.mark.usefixtures("undrawn")
def test_missing_broken_and_absent_pictures_are_said(run):
    def spoil(meme):
        kind = int(meme["id"]) % 3
        (run / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
        meme["image"] = ["", str(run / "gone.png"), str(run / "broken.png")][kind]

    repaint(run, spoil)
    page = Page(write_report(run))
    assert page.all("img") == []
    assert page.says("no picture") and page.says("picture unreadable or gone")


def test_without_test_labels_there_are_no_test_figures(tmp_path):
    features = planted.table("linear", count=150, spaces=("space_0",), test_labels=False)
    run = finish(tmp_path / "run", features, heads="linear")
    page = Page(write_report(run))
    assert page.says("labels unknown") and not page.says("Decisions on test rows")
    assert "test rows," not in (run / "report.md").read_text()


def test_heads_that_always_say_the_same_are_reported_as_chance(run):
    silence(run, ["joint", "linear", "knn", "image only", "text only"])
    submit(SubmitConfig(out=str(run / "solution.csv"), ensemble="mean"), run)
    page = Page(write_report(run))
    assert page.says("No better than chance")
    assert "nan" not in (run / "report.md").read_text()


def test_with_a_prior_rows_count_as_the_figures_count_them(run):
    submit(SubmitConfig(out=str(run / "solution.csv"), ensemble="mean", prior=0.2), run)
    found = read_run(run)
    label = found.table.rows.label[found.held_out]
    weight = found.weight[found.held_out]
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(0.2)
    assert "nan" not in draw_reliability(found).svg and "nan" not in draw_thresholds(found).svg


@pytest.mark.usefixtures("undrawn")
def test_checks_are_shown_once_there_are_some(run, page):
    assert page.says("python pipeline.py check --run run")
    one = {
        "name": "leak",
        "ok": False,
        "sentence": "<i>AUROC</i> 0.9",
        "figures": {"a_b": 0.5, "c": {"d_e": [0.1, 2]}},
    }
    write_json(run / "check.json", {"checks": [one, {**one, "ok": True}]})
    page = Page(write_report(run))
    assert page.says("✗ leak") and page.says("✓ leak") and page.says("a b: 0.500 · c: d e 0.100–2")
    assert page.says("<i>AUROC</i> 0.9") and page.all("i")
    assert "✗ **leak**" in (run / "report.md").read_text()


@pytest.mark.parametrize(
    ("gone", "command"),
    [
        ("heads/ensemble.json", "submit"),
        ("heads/ensemble.npz", "submit"),
        ("data.json", "extract"),
        ("memes.jsonl", "extract"),
        ("heads/projections/pretrained.npy", "fit-heads"),
    ],
)
def test_a_run_that_is_not_finished_names_the_command(run, gone, command):
    (run / gone).unlink()
    with pytest.raises(UserError, match=rf"{gone}.*pipeline\.py {command}"):
        write_report(run)


@pytest.mark.parametrize("name", ["data.json", "heads/ensemble.json"])
def test_what_was_made_from_other_features_is_refused(run, name):
    rewrite(run / name, lambda content: content.update(stamp="other"))
    with pytest.raises(UserError, match="made from other features"):
        write_report(run)


def test_memes_of_another_table_are_refused(run):
    repaint(run, lambda meme: meme.update(id="x" + meme["id"]))
    with pytest.raises(UserError, match="lists other memes"):
        write_report(run)


# What it says


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([0.1, 0.2], "Fusion adds 0.100 AUROC to"),
        ([-0.1, 0.2], "Fusion does not beat"),
        ([-0.2, -0.1], "Fusion does worse than"),
    ],
)
def test_the_headline_says_whether_fusion_pays(told, monkeypatch, ends, words):
    found = Difference(0.1, ends)
    monkeypatch.setattr("heads.report.conclusions.against", lambda *_, **__: found)
    run = read_run(told)
    run.ensemble.scores["held_out"]["auroc"]["interval"] = [0.6, 0.7]
    assert make_conclusions(run).headline.startswith(words)


def test_differences_are_paired_and_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    one, other = y * 0.3 + rng.random((2, 60))
    resamples = resampling_weights(rng.integers(0, 30, 60), 0)
    gaps = [
        roc_auc_score(y, one, sample_weight=w) - roc_auc_score(y, other, sample_weight=w)
        for w in resamples
    ]
    found = difference(y, one, other, resamples)
    assert found.value == pytest.approx(roc_auc_score(y, one) - roc_auc_score(y, other))
    assert found.interval == pytest.approx(interval(np.array(gaps)))
    same = difference(y, one, one**3, resamples)
    assert same.interval == [0.0, 0.0] and same.sign == 0
    assert difference(y, one, -one, resamples).sign == 1
    assert difference(np.ones(60, dtype=int), one, one, resamples) is None


def test_resamples_of_one_class_are_left_out():
    y, one, other = np.array([0, 1]), np.array([0.2, 0.9]), np.array([0.5, 0.5])
    found = difference(y, one, other, np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert (found.value, found.interval) == (0.5, [0.5, 0.5])


def test_the_gallery_shows_mistakes_the_surest_first_one_of_a_group(told):
    run = read_run(told)
    ensemble, rows = run.contenders[ENSEMBLE], run.table.rows
    shown = gallery.make_gallery(run)
    distances = [abs(card.probability - card.meme.label) for card in shown.mistakes]
    assert distances == sorted(distances, reverse=True)
    assert all(card.said != card.meme.label for card in shown.mistakes)
    cards = shown.mistakes + shown.uncertain
    places = [rows.id.tolist().index(card.meme.id) for card in cards]
    assert len(set(places)) == len(places) and set(places) <= set(run.held_out)
    groups = rows.group[places[: len(shown.mistakes)]]
    assert len(np.unique(groups)) == len(groups)
    for card, place in zip(cards, places, strict=True):
        assert card.probability == ensemble.held_out[place]
        near = [neighbour.meme.id for neighbour in card.neighbours]
        assert len(near) == 3 and card.meme.id not in near
        assert set(rows.split[np.isin(rows.id, near)]) <= {"train", "val"}
        cosines = [neighbour.cosine for neighbour in card.neighbours]
        assert cosines == sorted(cosines, reverse=True) and max(cosines) <= 1 + 1e-9


def test_near_duplicates_with_another_label_are_warned_of(told):
    run = read_run(told)
    rows = run.table.rows
    group = np.zeros_like(rows.group)
    label = np.zeros_like(rows.label)
    label[:6] = 1
    table = replace(run.table, rows=replace(rows, group=group, label=label))
    one = replace(run, table=table)
    (warning,) = gallery._warnings(one, 50)
    assert warning == ("Its near-duplicates 00000, 00001, 00002, 00003 and 2 more are hateful.")
    assert gallery._warnings(run, 0) == []


# Small things


def test_a_thumbnail_is_small_and_a_transparent_picture_lies_on_white(tmp_path):
    Image.new("RGBA", (900, 300), (0, 0, 0, 0)).save(tmp_path / "wide.png")
    assert len(thumbnail(str(tmp_path / "wide.png"), 160)) < 1000
    assert thumbnail(str(tmp_path), 160) is None


def test_a_drawing_keeps_its_ids_to_itself():
    svgs = []
    for name in ("one", "two"):
        with drawing(name) as canvas:
            canvas.axes.plot([0, 1], [0, 1], "o-", color=INK["ensemble"])
            svgs.append(str(canvas.svg('<b> "quoted"')))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in svgs]
    assert ids[0] and not ids[0] & ids[1]
    assert "&lt;b&gt;" in svgs[0] and "http" not in svgs[0]


def test_numbers_read_well():
    assert (signed(-0.0004), signed(0.012), signed(-0.2)) == ("+0.000", "+0.012", "−0.200")
    assert [duration(s) for s in (0.42, 12, 204, 7500)] == [
        "0.4 s",
        "12 s",
        "3 min 24 s",
        "2 h 5 min",
    ]
    assert (joined(["a"]), joined(["a", "b", "c"])) == ("a", "a, b and c")
    assert shorten("one two three", 9) == "one two…" and shorten("x" * 20, 5) == "xxxx…"
    assert markdown_text("a|b\n<c>") == r"a\|b \<c\>"


def test_hostile_is_hostile():
    assert "<script>" in HOSTILE
