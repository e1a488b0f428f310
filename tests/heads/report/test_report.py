"""Test the report: complete, self-contained, safe from hostile captions, right on significance."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import planted
import pytest
from made_up_run import HOSTILE_CAPTION, make_constant, write_finished_run
from markupsafe import Markup
from PIL import Image
from sklearn.metrics import roc_auc_score

from heads.config import SubmitConfig
from heads.evaluation.bootstrap import percentile_interval, resampled
from heads.report import comparison_plots, gallery
from heads.report.build import write_report
from heads.report.comparison_plots import draw_member_gains, draw_pca_maps
from heads.report.conclusions import make_conclusions
from heads.report.finished_run import ENSEMBLE, read_run
from heads.report.formatting import duration, joined, markdown_text, shorten, signed
from heads.report.gallery import thumbnail
from heads.report.paired_differences import Difference, ensemble_gain, paired_difference
from heads.report.roc_reliability_curves import (
    draw_reliability,
    draw_roc_and_pr,
    draw_thresholds,
)
from heads.report.svg import INK, Canvas, drawing
from heads.run import submit
from runtime.errors import UserError
from runtime.files.json_files import read_json, write_json

SECTIONS = ["conclusions", "heads", "plots", "mistakes", "labels", "check", "data"]
VOID = {"meta", "link", "img", "input", "br", "path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """Parsed HTML: tags with their attributes, all text, and tags that were not closed."""

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

    def shows(self, text):
        return text in " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def page(reported_run):
    return Page(reported_run / "report.html")


@pytest.fixture
def no_plots(monkeypatch):
    """Replace plots, which take most of the time, by empty SVGs."""
    monkeypatch.setattr(Canvas, "svg", lambda *_: Markup("<svg></svg>"))


def rewrite(path, change):
    content = read_json(path, "submit")
    change(content)
    write_json(path, content)


def change_memes(run, change):
    """Apply `change` to every meme in memes.jsonl."""
    path = run / "memes.jsonl"
    memes = [json.loads(line) for line in path.read_text().split("\n") if line]
    for meme in memes:
        change(meme)
    path.write_text("\n".join(json.dumps(meme) for meme in memes))


# HTML and Markdown


def test_page_has_all_sections_and_every_tag_is_closed(page):
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert page.open == []
    assert len(page.all("h1")) == 1


def test_page_loads_no_external_resources_and_runs_no_scripts(page):
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


def test_hostile_captions_are_escaped_in_html_and_markdown(reported_run, page):
    assert page.shows('<script>alert("1")</script> & <img src=x onerror=alert(2)> {{ 7 * 7 }}')
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    markdown = (reported_run / "report.md").read_text()
    assert "<script>" not in markdown.replace(r"\<script\>", "")
    assert "[y](" not in markdown


def test_ids_are_unique_and_all_references_resolve(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referenced = {a["href"][1:] for _, a in page.tags if a.get("href", "").startswith("#")}
    referenced |= set(re.findall(r"url\(#([^)]+)\)", page.source))
    referenced |= {a["for"] for _, a in page.tags if "for" in a}
    assert referenced <= set(ids)


def test_plots_use_the_colours_and_font_of_the_page(page):
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


def test_pictures_are_blurred_until_a_checkbox_is_ticked(page):
    switches = [i for i in page.all("input") if i.get("aria-label", "").startswith("Show the pict")]
    assert len(switches) == len(page.all("img")) > 12
    assert all(switch["type"] == "checkbox" for switch in switches)
    assert "filter: blur" in page.source


def test_report_is_reproducible_byte_for_byte(reported_run, run):
    before = {name: (reported_run / name).read_bytes() for name in ("report.html", "report.md")}
    write_report(read_run(run))
    assert {name: (run / name).read_bytes() for name in before} == before


def test_markdown_has_well_formed_tables_with_all_heads(reported_run):
    text = (reported_run / "report.md").read_text()
    assert text.startswith("# run: ")
    tables = re.findall(r"(?:^\|.*\|$\n)+", text, flags=re.MULTILINE)
    for table in tables:
        assert len({line.count("|") - line.count(r"\|") for line in table.splitlines()}) == 1
    assert len(tables) == 7
    for head in ("**ensemble**", "linear", "knn", "joint", "_image only_", "_text only_"):
        assert sum(f"| {head}" in table for table in tables) >= 2, head
    assert "\n\n\n" not in text


# Other kinds of runs


@pytest.mark.usefixtures("no_plots")
def test_missing_and_damaged_pictures_are_reported(run):
    def change_picture(meme):
        kind = int(meme["id"]) % 3
        (run / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
        meme["image"] = ["", str(run / "deleted.png"), str(run / "broken.png")][kind]

    change_memes(run, change_picture)
    page = Page(write_report(read_run(run)))
    assert page.all("img") == []
    assert page.shows("no picture") and page.shows("picture unreadable or deleted")


@pytest.mark.usefixtures("quick", "no_plots")
def test_without_test_labels_there_are_no_test_metrics(tmp_path):
    features = planted.table("linear", count=150, spaces=("space_0",), test_labels=False)
    run = write_finished_run(tmp_path / "run", features, heads="linear")
    page = Page(write_report(read_run(run)))
    assert page.shows("labels unknown") and not page.shows("Confusion matrix on test rows")
    assert "test rows," not in (run / "report.md").read_text()


@pytest.mark.usefixtures("quick")
def test_constant_predictions_are_reported_as_no_better_than_chance(run):
    make_constant(run, ["joint", "linear", "knn", "image only", "text only"])
    submit(SubmitConfig(out=str(run / "solution.csv"), ensemble="mean"), run)
    page = Page(write_report(read_run(run)))
    assert page.shows("The ensemble is not significantly better than chance")
    assert "nan" not in (run / "report.md").read_text()


def test_with_a_prior_plots_use_the_row_weights_of_the_metrics(run):
    submit(SubmitConfig(out=str(run / "solution.csv"), ensemble="mean", prior=0.2), run)
    found = read_run(run)
    label = found.table.rows.label[found.held_out_rows]
    weight = found.weight[found.held_out_rows]
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(0.2)
    assert "nan" not in draw_reliability(found).svg and "nan" not in draw_thresholds(found).svg


@pytest.mark.usefixtures("no_plots")
def test_checks_are_shown_if_check_was_run(run, page):
    assert page.shows("python pipeline.py check --run run")
    check = {
        "name": "leak",
        "ok": False,
        "sentence": "<i>AUROC</i> 0.9",
        "figures": {"a_b": 0.5, "c": {"d_e": [0.1, 2]}},
    }
    write_json(run / "check.json", {"checks": [check, {**check, "ok": True}]})
    page = Page(write_report(read_run(run)))
    assert (
        page.shows("✗ leak") and page.shows("✓ leak") and page.shows("a b: 0.500 · c: d e 0.100–2")
    )
    assert page.shows("<i>AUROC</i> 0.9") and page.all("i")
    assert "✗ **leak**" in (run / "report.md").read_text()


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("heads/ensemble.json", "submit"),
        ("heads/ensemble.npz", "submit"),
        ("data.json", "extract"),
        ("memes.jsonl", "extract"),
        ("heads/projections/pretrained.npy", "fit-heads"),
    ],
)
def test_unfinished_run_is_an_error_with_the_command_to_run(run, missing, command):
    (run / missing).unlink()
    with pytest.raises(UserError, match=rf"{missing}.*pipeline\.py {command}"):
        write_report(read_run(run))


@pytest.mark.parametrize("name", ["data.json", "heads/ensemble.json"])
def test_files_written_for_other_features_are_rejected(run, name):
    rewrite(run / name, lambda content: content.update(stamp="other"))
    with pytest.raises(UserError, match="written for other features"):
        write_report(read_run(run))


def test_memes_other_than_those_of_the_features_are_rejected(run):
    change_memes(run, lambda meme: meme.update(id="x" + meme["id"]))
    with pytest.raises(UserError, match="does not list the same memes"):
        write_report(read_run(run))


# Conclusions and gallery


@pytest.mark.parametrize(
    ("interval", "headline"),
    [
        ([0.1, 0.2], "Fusion improves AUROC by 0.100 over"),
        ([-0.1, 0.2], "Fusion is not significantly better than"),
        ([-0.2, -0.1], "Fusion is significantly worse than"),
    ],
)
def test_headline_reports_whether_the_gain_is_significant(
    reported_run, monkeypatch, interval, headline
):
    gain = Difference(0.1, interval)
    monkeypatch.setattr("heads.report.conclusions.ensemble_gain", lambda *_, **__: gain)
    run = read_run(reported_run)
    run.ensemble.scores["held_out"]["auroc"]["interval"] = [0.6, 0.7]
    assert make_conclusions(run).headline.startswith(headline)


def test_paired_differences_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    one, other = y * 0.3 + rng.random((2, 60))
    group = rng.integers(0, 30, 60)
    differences = [
        roc_auc_score(y, one, sample_weight=w) - roc_auc_score(y, other, sample_weight=w)
        for w in resampled(lambda weights: weights, group, 0)
    ]
    found = paired_difference(y, one, other, group, 0)
    assert found.value == pytest.approx(roc_auc_score(y, one) - roc_auc_score(y, other))
    assert found.interval == pytest.approx(percentile_interval(np.array(differences)))
    same = paired_difference(y, one, one**3, group, 0)
    assert same.interval == [0.0, 0.0] and same.sign == 0
    assert paired_difference(y, one, -one, group, 0).sign == 1
    assert paired_difference(np.ones(60, dtype=int), one, one, group, 0) is None


def test_resamples_of_a_single_class_are_skipped():
    y, one, other = np.array([0, 1]), np.array([0.2, 0.9]), np.array([0.5, 0.5])
    found = paired_difference(y, one, other, np.array([0, 1]), 0)
    assert (found.value, found.interval) == (0.5, [0.5, 0.5])


def test_figures_do_not_depend_on_how_many_resamples_are_in_memory(reported_run, monkeypatch):
    whole = resampled_figures(read_run(reported_run))
    monkeypatch.setattr("heads.evaluation.bootstrap.BLOCK_SIZE", 1)
    for name, one_by_one in resampled_figures(read_run(reported_run)).items():
        assert one_by_one == whole[name], name


def resampled_figures(run):
    """The plots and numbers of the report that are made with bootstrap samples."""
    plots = [draw_member_gains(run), *draw_roc_and_pr(run), draw_thresholds(run)]
    figures = {plot.title: plot for plot in (*plots, draw_reliability(run))}
    return {**figures, "gain": ensemble_gain(run, run.best_head())}


def test_gallery_shows_most_confident_mistakes_first_and_one_per_group(reported_run):
    run = read_run(reported_run)
    ensemble, rows = run.models[ENSEMBLE], run.table.rows
    shown = gallery.make_gallery(run)
    distances = [abs(card.probability - card.meme.label) for card in shown.mistakes]
    assert distances == sorted(distances, reverse=True)
    assert all(card.predicted != card.meme.label for card in shown.mistakes)
    cards = shown.mistakes + shown.uncertain
    indices = [rows.id.tolist().index(card.meme.id) for card in cards]
    assert len(set(indices)) == len(indices) and set(indices) <= set(run.held_out_rows)
    groups = rows.group[indices[: len(shown.mistakes)]]
    assert len(np.unique(groups)) == len(groups)
    for card, index in zip(cards, indices, strict=True):
        assert card.probability == ensemble.held_out[index]
        near = [neighbour.meme.id for neighbour in card.neighbours]
        assert len(near) == 3 and card.meme.id not in near
        assert set(rows.split[np.isin(rows.id, near)]) <= {"train", "val"}
        cosines = [neighbour.cosine for neighbour in card.neighbours]
        assert cosines == sorted(cosines, reverse=True) and max(cosines) <= 1 + 1e-9


def test_near_duplicates_with_a_different_label_give_a_warning(reported_run):
    run = read_run(reported_run)
    rows = run.table.rows
    group = np.zeros_like(rows.group)
    label = np.zeros_like(rows.label)
    label[:6] = 1
    table = replace(run.table, rows=replace(rows, group=group, label=label))
    (warning,) = gallery._warnings(replace(run, table=table), 50)
    assert warning == (
        "Its near-duplicates 00000, 00001, 00002, 00003 and 2 more are labelled hateful."
    )
    assert gallery._warnings(run, 0) == []


# Thumbnails, drawings, formatting


def test_thumbnail_is_small_and_not_made_from_a_folder(tmp_path):
    Image.new("RGBA", (900, 300), (0, 0, 0, 0)).save(tmp_path / "wide.png")
    assert len(thumbnail(str(tmp_path / "wide.png"), 160)) < 1000
    assert thumbnail(str(tmp_path), 160) is None


def test_pictures_in_other_formats_than_those_of_extract_are_not_opened(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", "PPM")
    assert thumbnail(str(tmp_path / "a.png"), 160) is None


def test_drawings_have_no_ids_in_common():
    svgs = []
    for name in ("one", "two"):
        with drawing(name) as canvas:
            canvas.axes.plot([0, 1], [0, 1], "o-", color=INK["ensemble"])
            svgs.append(str(canvas.svg('<b> "quoted"')))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in svgs]
    assert ids[0] and not ids[0] & ids[1]
    assert "&lt;b&gt;" in svgs[0] and "http" not in svgs[0]


def test_formatting_of_numbers_durations_and_text():
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


def test_hostile_caption_contains_a_script():
    assert "<script>" in HOSTILE_CAPTION


def test_maps_of_a_large_run_show_few_memes_and_say_which(reported_run, monkeypatch):
    run = read_run(reported_run)
    assert "drawn at random" not in draw_pca_maps(run)[0].caption
    everything = len(draw_pca_maps(run)[0].svg)
    monkeypatch.setattr(comparison_plots, "MAX_DOTS", 20)
    plot = draw_pca_maps(run)[0]
    total = len(run.held_out_rows)
    assert plot.caption.startswith(f"20 of {total} held-out rows, drawn at random, on the first")
    assert len(plot.svg) < everything
