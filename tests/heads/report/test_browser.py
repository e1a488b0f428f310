"""Test the report in a browser: no console errors, no broken pictures, no horizontal overflow."""

import json
import shutil
import subprocess
from html import unescape

import pytest

from heads.ensemble.explained_memes import Explained, write_explanations
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.gallery import choose_rows

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium: apt-get install chromium")

PROBE = """<!doctype html>
<meta name="color-scheme" content="light dark">
<iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, pictures = [...page.images];
  const why = [...page.querySelectorAll("details.why")];
  why.forEach(e => {{ e.open = true; }});
  const inside = e => e.closest(".scroll") || e.closest("svg") || e.closest(".picture");
  const right = e => e.getBoundingClientRect().right;
  const wide = [...page.body.querySelectorAll("*")].filter(e => !inside(e) && right(e) > {width});
  const filter = i => page.defaultView.getComputedStyle(i).filter;
  const blurred = () => pictures.filter(i => filter(i).includes("blur")).length;
  const press = where => {{
    page.querySelector(where).click();
    return blurred();
  }};
  const found = {{
    title: page.title,
    width: page.documentElement.clientWidth,
    dark: page.defaultView.matchMedia("(prefers-color-scheme: dark)").matches,
    explained: why.length,
    pictures: pictures.length,
    broken: pictures.filter(i => !(i.complete && i.naturalWidth)).length,
    wide: wide.map(e => e.tagName + "." + e.className).slice(0, 5),
    blurred: blurred(),
    afterOne: press(".picture input"),
    afterAll: [press("#show-labels"), press("#show-all")],
  }};
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(found);
}});
</script>
"""


@pytest.fixture(scope="module")
def explained_run(reported_run, tmp_path_factory):
    """A copy of the run whose gallery has explanations, some with long words."""
    run = shutil.copytree(reported_run, tmp_path_factory.mktemp("explained") / "run")
    cells = {f"{row},{column}": (row - column) / 4 for row in range(3) for column in range(3)}
    words = [("<b>long</b>" * 30, 0.4), ("words", -0.21), ("a", 0.0)]
    chosen = choose_rows(read_run(run))
    found = {row: Explained(0.7, 0.6, 0.2, words, cells) for row in chosen.mistakes}
    found |= {row: Explained(0.5, None, None, words, {}) for row in chosen.uncertain}
    write_explanations(run, found)
    write_report(read_run(run))
    return run


def open_in_browser(report, width, scheme, tmp_path):
    """Open the report in headless Chromium; return the probe's findings and console messages."""
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(page=report.as_uri(), width=width))
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--enable-logging=stderr", "--allow-file-access-from-files"),
            f"--user-data-dir={tmp_path / 'profile'}",
            # Without reduced motion, the blur of a picture is removed in a slow transition.
            "--force-prefers-reduced-motion",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
            *("--window-size=1400,1000", "--virtual-time-budget=4000", "--dump-dom"),
            probe.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = done.stdout.split("<pre>")[1].split("</pre>")[0]
    return json.loads(unescape(found)), [x for x in done.stderr.splitlines() if "CONSOLE" in x]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_page_fits_the_screen_and_all_pictures_load(explained_run, tmp_path, width, scheme):
    found, console = open_in_browser(explained_run / "report.html", width, scheme, tmp_path)
    assert console == []
    assert found["title"] == "run – memefuse"
    assert found["width"] == width
    assert found["broken"] == 0 and found["pictures"] > 12
    assert found["wide"] == [] and found["explained"] > 12
    assert found["blurred"] == found["pictures"]
    assert found["afterOne"] == found["pictures"] - 1
    assert found["afterOne"] > found["afterAll"][0] > found["afterAll"][1] == 0
    assert found["dark"] == (scheme == "dark")
