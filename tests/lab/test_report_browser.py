"""The page of a sweep in a real browser: it loads by itself, sorts, filters, and fits a phone, by day and by night."""

import io
import itertools
import re
import shutil
from pathlib import Path

import PIL.Image
import pytest

from attention.lab import report, results
from tests.support.made_results import failed, made

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome")

LONG = "randomized(inner=alibi(), max_position=2048)"
MORE = (".mark.not-distinguishable", ".columns summary", "td a", "figcaption", "th button", "dd", "pre")
SIZES = ("document.documentElement.viewBox.baseVal", "document.documentElement.getBBox()")
VARIANTS = [(a, b) for a in ("none", "rope", LONG) for b in ("softmax", "sparsemax", "pointwise(activation=relu)")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    found = made(VARIANTS, by_length=True)
    for row in found.rows:  # enough of a difference for verdicts
        row["test"]["accuracy"] = 0.8 + 0.03 * (row["names"][0] == "rope") - 0.04 * (row["names"][1] == "sparsemax")
        row["test"]["accuracy"] += 0.002 * ((row["seed"] * len(row["variant"])) % 5)
    found.rows[-1] = failed(found.rows[-1])
    results.write(folder / "results.parquet", found)
    report.write(folder)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=BROWSER, args=["--headless=new", "--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page; at the end, it must have asked for nothing and complained of nothing."""
    opened, said, asked = [], [], []

    def visit(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        return page

    yield visit
    for context in opened:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address] * len(opened)


def column(page, head, *, table="verdicts"):
    """The cells of the visible rows under a head."""
    heads = page.locator(f"#table-{table} thead th").all()
    number = next(place for place, each in enumerate(heads) if each.text_content().strip() == head)
    rows = page.locator(f"#table-{table} tbody tr:visible")
    return [row.locator("th, td").nth(number).inner_text() for row in rows.all()]


def numbers(texts):
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts if text != "–"]


def test_a_click_on_a_head_sorts(visit):
    page = visit()
    head = page.locator("#table-verdicts th", has_text="difference")
    shown = numbers(column(page, "difference"))
    assert len(shown) == len(VARIANTS) - 1
    for order in ("descending", "ascending", "descending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == order
        cells = column(page, "difference")
        assert numbers(cells) == sorted(shown, reverse=order == "descending")
        assert cells[-1] == "–"  # the baseline has none, and comes last either way
    page.locator("#table-verdicts th", has_text="variant").get_by_role("button").press("Enter")
    names = column(page, "variant")
    assert names == sorted(names)
    assert page.locator("#table-verdicts [aria-sort]").count() == 1


def test_other_tables_sort_by_themselves(visit):
    page = visit()
    page.locator("#table-ledger th", has_text="parameters").get_by_role("button").click()
    shown = [int(text.replace(",", "")) for text in column(page, "parameters", table="ledger")]
    assert shown == sorted(shown, reverse=True)
    assert page.locator("#table-verdicts [aria-sort]").count() == 0


def test_the_filter_and_the_buttons(visit):
    page = visit()
    page.get_by_role("searchbox").fill("ROPE")
    assert [name.split(",")[0] for name in column(page, "variant")] == ["rope"] * 3
    assert page.locator("#shown").inner_text() == "3 of 9 rows"
    page.get_by_role("searchbox").fill("")
    for word in ("better", "worse", "not distinguishable"):
        button = page.locator(".buttons button", has_text=word)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        shown = column(page, "verdict")
        assert shown
        assert {text[2:] for text in shown} == {word}
    page.locator(".buttons button", has_text="worse").click()
    page.get_by_role("searchbox").fill("rope")
    assert column(page, "variant") == ["rope, sparsemax"]
    page.locator(".buttons button", has_text="all").click()
    assert len(column(page, "variant")) == 3


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("opened", [False, True])
def test_the_body_never_scrolls_sideways(visit, width, opened):
    page = visit(width)
    page.evaluate(f"document.querySelectorAll('details').forEach((each) => {{ each.open = {str(opened).lower()}; }})")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wider = "[...document.querySelectorAll('.scroll')].some((box) => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(wider) or width > 390  # tables and figures scroll in their boxes
    page.evaluate("scrollTo(200, 0)")
    assert page.evaluate("scrollX") == 0


def luminance(colour):
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_by_day_and_by_night(visit, scheme):
    page = visit(scheme=scheme)
    ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.1) == (scheme == "dark")
    for place in (
        "body",
        "h1",
        ".subject",
        ".note",
        "caption",
        "nav a",
        ".mark.better",
        ".mark.worse",
        ".buttons button",
        *MORE,
    ):
        ink = luminance(page.evaluate(f"getComputedStyle(document.querySelector('{place}')).color"))
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast >= 4.5, (place, contrast)  # WCAG 2.2, 1.4.3


def test_every_figure_is_drawn_and_named(visit):
    page = visit()
    figures = page.locator("figure img")
    assert figures.count() == 6
    for figure in figures.all():
        box = figure.bounding_box()
        least = 800 if figure.get_attribute("class") == "wide" else 400
        assert least < box["width"] < 850
        assert box["height"] > 80
        assert figure.get_attribute("alt")
        assert figure.evaluate("image => image.complete && image.naturalWidth > 0")


def test_texts_in_figures_fit_and_stand_out(browser, address):
    paths = sorted((Path(address.removeprefix("file://")).parent / "figures").glob("*.svg"))
    assert len(paths) == 6
    page = browser.new_page()
    for path in paths:
        page.goto(path.as_uri())
        size, box = (page.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({what})") for what in SIZES)
        assert box[0] >= -1, path
        assert box[1] >= -1, path
        assert box[0] + box[2] <= size[2] + 1, path
        assert box[1] + box[3] <= size[3] + 1, path
        fills = page.evaluate("[...document.querySelectorAll('text')].map((text) => getComputedStyle(text).fill)")
        assert fills
        inks = {luminance(fill) for fill in fills}
        if path.stem == "grid":  # its cells have a ground of their own, under black or white
            assert inks <= {luminance(colour) for colour in ("rgb(255, 255, 255)", "rgb(0, 0, 0)", "rgb(51, 51, 51)")}
        else:
            assert all(1.05 / (ink + 0.05) >= 4.5 for ink in inks)
    page.close()


def test_a_phone_shows_the_verdicts_and_the_forest_plot_whole(visit):
    page = visit(390)
    row = page.locator("#table-verdicts tbody tr").first
    box = row.locator(".mark").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    image = page.locator("figure img").first
    assert image.bounding_box()["width"] <= 390
    svg = image.evaluate("image => atob(image.src.split(',')[1])")
    wide = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    smallest = min(map(float, re.findall(r"font-size: ([\d.]+)px", svg)))
    assert smallest * image.bounding_box()["width"] / wide > 10  # points of the screen


@pytest.mark.parametrize(("scheme", "media", "dark"), [("light", "screen", 0), ("dark", "screen", 1), ("dark", "print", 0)])
def test_figures_are_dark_by_night_and_light_on_paper(visit, scheme, media, dark):
    page = visit(scheme=scheme)
    page.emulate_media(media=media)
    for image in page.locator("figure img").all():
        picture = PIL.Image.open(io.BytesIO(image.screenshot())).convert("RGB")
        ground = luminance("rgb" + str(picture.getpixel((2, 2))))
        assert (ground < 0.1) == dark
        lines = max(abs(luminance("rgb" + str(colour)) - ground) for _, colour in picture.getcolors(1 << 24))
        assert lines > 0.4  # texts and curves stand out


def test_nothing_is_cut_in_print(visit):
    page = visit(690)  # the text of A4
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
    for table in page.locator("table").all():
        assert table.is_visible()
    fields = column(page, "field", table="hyperparameters")
    assert {"model.encoding", "training.learning_rate", "data.source", "seeds"} <= set(fields)


def test_a_screen_reader_finds_its_way(visit):
    page = visit()
    assert page.locator("html").get_attribute("lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.locator("table").all():
        assert table.locator("caption").text_content().strip()
        assert all(
            head.get_attribute("scope") in ("col", "row") and head.text_content().strip() for head in table.locator("th").all()
        )
    names = [box.get_attribute("aria-label") for box in page.locator("[role=region]").all()]
    assert all(names)
    assert len(names) == len(set(names))
    reached, links = [], page.locator("nav a").count()
    for _ in range(links + 1):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + document.activeElement.id"))
    assert reached == ["A"] * links + ["INPUTfilter"]


def test_print_opens_everything(visit):
    page = visit()
    page.emulate_media(media="print")
    assert page.locator("details[open]").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator(".controls").is_visible()
    assert not page.locator("nav").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
