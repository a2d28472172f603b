"""The page of a run in a browser: what a reader clicks does what it says. Skipped where there is no Chromium."""

import shutil

import pytest

from bench.analysis.report.page import write_report
from bench.records.loading import load_run
from tests.bench.analysis.report.report_material import NASTY, claims, rewrite
from tests.bench.analysis.synthetic_run import ARMS, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its chromedriver on the path")


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    directory = write_run(tmp_path_factory.mktemp("browser") / "run", seeds=2, probes=0, arms=ARMS[:6])
    write_run(directory, seeds=1, probes=0, gold=False, task="strings", arms=ARMS[1:4])
    of_reference = {"reference_completion": "as before", "reference_proxy": 0.0, "reference_gold": 0.0}
    rewrite(directory, lambda rows: rows.assign(completion=NASTY, reference_length=14, **of_reference))
    return write_report(load_run(directory), directory / "report.html", claims("reproduced", "contradicted", "not run"))


@pytest.fixture
def page(browser, file):
    browser.get(file.as_uri())
    yield Reader(browser)
    assert browser.get_log("browser") == []  # neither errors nor requests that the page's own policy refuses


class Reader:
    """Finds, clicks, types and reads."""

    def __init__(self, browser):
        self.browser = browser

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def texts(self, selector):
        return [element.text for element in self.all(selector) if element.is_displayed()]

    def click(self, selector):
        self.run("arguments[0].scrollIntoView({block: 'center'})", self.all(selector)[0])
        self.all(selector)[0].click()

    def type(self, selector, keys):
        self.all(selector)[0].send_keys(keys)

    def choose(self, selector, text):
        from selenium.webdriver.support.select import Select

        Select(self.all(selector)[0]).select_by_visible_text(text)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)


def column(page, sheet, name):
    """What a table shows in a column, by rows."""
    place = [head.text.replace("\xa0", " ") for head in page.all(f"#{sheet} thead th")].index(name) + 1
    return page.texts(f"#{sheet} tbody tr > :nth-child({place})"), f"#{sheet} thead th:nth-child({place})"


def test_a_click_or_a_key_on_a_header_sorts_by_numbers_and_tells_so(page):
    from selenium.webdriver.common.keys import Keys

    _, head = column(page, "results-sheet", "proxy reward ↑")
    before = column(page, "results-sheet", "arm")[0]
    page.click(f"{head} button")
    values = [float(text.split()[0]) for text in column(page, "results-sheet", "proxy reward ↑")[0]]
    assert values == sorted(values)
    assert page.all(head)[0].get_attribute("aria-sort") == "ascending"
    page.type(f"{head} button", Keys.ENTER)
    values = [float(text.split()[0]) for text in column(page, "results-sheet", "proxy reward ↑")[0]]
    assert values == sorted(values, reverse=True)
    assert [each.get_attribute("aria-sort") for each in page.all("#results-sheet th[aria-sort]")] == ["descending"]
    after = column(page, "results-sheet", "arm")[0]
    assert after != before and sorted(after) == sorted(before)


def test_words_and_a_choice_filter_rows(page):
    page.type("#results-sheet input", "ppo WITHOUT")
    assert column(page, "results-sheet", "arm")[0] == ["ppo without KL"]
    assert page.texts("#results-sheet output") == ["1 of 9 rows"]
    page.all("#results-sheet input")[0].clear()
    page.type("#results-sheet input", " ")
    page.choose("#results-sheet select", "strings")
    assert column(page, "results-sheet", "arm")[0] == ["sft", "lima", "dpo"]
    page.choose("#claims-sheet select", "contradicted")
    assert page.texts("#claims-sheet tbody tr th") == ["2"]


def test_details_of_a_claim_unfold(page):
    assert "a: 0.5" not in " ".join(page.texts("#claims tbody td"))
    page.click("#claims summary")
    assert "a: 0.5" in " ".join(page.texts("#claims tbody td"))


def test_the_theme_follows_the_system_until_the_button_flips_it(page):
    def paper():
        return page.run("return getComputedStyle(document.body).backgroundColor")

    def prefer(scheme):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    prefer("light")
    light = paper()
    prefer("dark")
    dark = paper()
    assert dark != light
    page.click("#theme")
    assert paper() == light
    page.click("#theme")
    assert paper() == dark
    prefer("light")
    assert paper() == dark


def test_the_browser_of_samples_shows_every_arm_side_by_side(page):
    assert page.texts("#cards h3")[0] == "π0"
    assert len(page.texts("#cards h3")) == 7  # with π0
    assert page.texts("#cards .most small") == ["largest gap on this prompt"]
    assert page.texts("#prompt") == ["a prompt"]
    first = page.texts("#cards dl")
    assert all(word in first[-1] for word in ("proxy", "gold", "KL", "tokens", "gap"))
    assert not page.all("#previous")[0].is_enabled()
    page.click("#next")
    assert page.texts("#cards dl") != first
    assert page.texts("#sample-count")[0].startswith("prompt 2 of 18, 7 of 7 arms")
    page.click("#previous")
    assert page.texts("#cards dl") == first
    page.type("#sample-arms", "without")
    assert page.texts("#cards h3")[0].startswith("ppo without KL")
    assert len(page.texts("#cards h3")) == 1
    page.choose("#sample-seed", "1")
    assert page.texts("#cards dl") != first
    page.choose("#sample-task", "strings")
    assert "the judge stands in for it" in page.texts("#how")[0]


def test_what_models_write_is_shown_and_never_run(page):
    assert NASTY in page.texts("#cards .text")
    assert page.run("return document.title") == "run · alignment bench"
    assert page.run("return document.querySelectorAll('#cards script, #cards img').length") == 0


@pytest.mark.parametrize("width", [1400, 420])
def test_no_width_makes_the_page_scroll_sideways(page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert page.run("return document.documentElement.scrollWidth") <= width
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_can_be_reached_by_keyboard_and_the_focus_is_seen(page):
    from selenium.webdriver.common.keys import Keys

    reached = []
    for _ in range(60):
        page.run("return document.activeElement").send_keys(Keys.TAB)
        focused = page.run("return document.activeElement")
        reached.append(focused.get_attribute("id") or focused.get_attribute("class") or focused.tag_name)
        style = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
        assert page.run(style) == ["solid", "3px"], reached[-1]
    assert {"skip", "theme", "scroll", "button", "select"} <= {"select" if each == "rows" else each for each in reached}
