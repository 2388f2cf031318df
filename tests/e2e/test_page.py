"""The page in a real browser: headless Chromium, driven as a person would.

LK_SCREENSHOT=FILE keeps the photograph that the README shows.
"""

import io
import os
import shutil
import time

import pytest
import requests
from conftest import Server, add_files
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


class Page:
    def __init__(self, url, language="en-US"):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for arg in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--window-size=1360,1000", "--hide-scrollbars", f"--lang={language}"]:
            options.add_argument(arg)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.url = url
        self.open(url)

    def open(self, url):
        self.driver.get(url)
        self.until(lambda: self.driver.execute_script(
            "return document.documentElement.dataset.ready") == "yes")

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def many(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, check, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if check():
                    return
            except StaleElementReferenceException:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not in {seconds} s; the page says: {self.status()}")

    def status(self):
        return self.one("#status").text

    def ids(self):
        return self.driver.execute_script(
            "return [...document.querySelectorAll('.card')].map((c) => c.dataset.id)")

    def settled(self):
        self.until(lambda: self.one("#grid").get_attribute("aria-busy") is None)

    def search(self, words):
        self.one("#words").clear()
        self.one("#words").send_keys(words, Keys.ENTER)
        self.until(lambda: f"q={words}" in self.driver.execute_script(
            "return decodeURIComponent(location.hash)"))
        self.settled()

    def complaints(self):
        """What the browser held against the page, 4xx answers that a test provoked left out."""
        return [e["message"] for e in self.driver.get_log("browser")
                if e["level"] == "SEVERE" and "Failed to load resource" not in e["message"]]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium and chromedriver")


@pytest.fixture
def page(browser, filled):
    page = Page(filled.url)
    yield page
    complaints = page.complaints()
    page.driver.quit()
    assert complaints == []


def api_ids(server, **body):
    answer = requests.post(f"{server.url}/v1/search", json=body, timeout=30)
    return [h["id"] for h in answer.json()["results"]]


def test_it_opens_with_every_picture_in_view(page, filled):
    assert set(page.ids()) == set(filled.ids.values())
    assert page.one("#count").text == "40 pictures"
    page.until(lambda: page.driver.execute_script(
        "return document.querySelector('.card img').naturalWidth") > 0)


def test_words_find_what_the_api_finds(page, filled):
    page.search("boat")
    assert page.ids() == api_ids(filled, text="boat", top_k=48)
    score = float(page.one(".card .score").text)
    assert -1 <= score <= 1
    assert "40" in page.status()
    page.driver.back()
    page.until(lambda: page.one("#words").get_attribute("value") == "")


def test_unknown_words_are_told_kindly(page):
    page.search("qqzzxxkk")
    page.until(lambda: "knows none" in page.one("#empty").text)
    assert page.ids() == []


def test_a_picture_finds_itself_and_mixes_with_words(page, filled, photos):
    own = filled.ids[photos[7].name]
    page.one("#choose-file").send_keys(str(photos[7]))
    page.until(lambda: page.ids()[:1] == [own])
    assert page.one("#picked").is_displayed()
    assert not page.one("#mix").is_displayed()
    by_picture = page.ids()
    page.search("boat")
    assert page.one("#mix").is_displayed()
    page.until(lambda: page.ids() != by_picture)
    balanced = page.ids()
    page.driver.execute_script(
        "const w = document.getElementById('weight'); w.value = 95;"
        "w.dispatchEvent(new Event('input')); w.dispatchEvent(new Event('change'));")
    page.until(lambda: page.ids() != balanced)
    assert page.one("#weight-value").text == "5 : 95"
    page.one("#unpick").click()
    page.until(lambda: page.ids() == api_ids(filled, text="boat", top_k=48))


def test_filters_narrow_the_results(page, filled):
    page.one("#colours .warm").click()
    want = set(api_ids(filled, text="dog", top_k=48, filter='color_scheme == "warm"'))
    page.until(lambda: set(page.ids()) == want)
    assert page.one("#colours .warm").get_attribute("aria-pressed") == "true"
    page.one("#categories button").click()
    page.until(lambda: len(page.ids()) < len(want))
    page.one("#categories button[aria-pressed=true]").click()
    page.until(lambda: set(page.ids()) == want)
    page.one("#more-filters").click()
    page.one("#expression").send_keys("width > height", Keys.ENTER)
    page.settled()
    page.one("#expression").clear()
    page.one("#expression").send_keys("width > 500 and", Keys.ENTER)
    page.until(lambda: page.one("#expression-fault").text != "")
    assert page.one("#expression").get_attribute("aria-invalid") == "true"
    page.one("#expression").clear()
    page.one("#expression").send_keys("width > 500", Keys.ENTER)
    narrow = set(api_ids(filled, text="dog", top_k=48,
                         filter='color_scheme == "warm" and width > 500'))
    page.until(lambda: set(page.ids()) == narrow)
    assert page.one("#expression-fault").text == ""


def test_more_like_this_leads_from_a_picture_to_its_like(page, filled):
    first = page.ids()[3]
    page.many(".card .open")[3].click()
    page.until(lambda: page.one("#view").is_displayed())
    name = next(n for n, i in filled.ids.items() if i == first)
    assert page.one("#view-title").text == name
    assert "pixels" in page.one("#view-facts").text
    assert page.one("#view-original").get_attribute("href").startswith(
        f"{filled.url}/v1/images/{first}/original")
    page.one("#view-similar").click()
    similar = requests.get(f"{filled.url}/v1/images/{first}/similar?top_k=47", timeout=20).json()
    page.until(lambda: page.ids() == [h["id"] for h in similar["results"]])
    assert not page.one("#view").is_displayed()


def test_the_keyboard_alone_is_enough(page):
    body = page.one("body")
    body.send_keys("/")
    assert page.driver.switch_to.active_element == page.one("#words")
    opens = page.many(".card .open")
    page.driver.execute_script("arguments[0].focus()", opens[0])
    opens[0].send_keys(Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element == opens[1]
    opens[1].send_keys(Keys.ENTER)
    page.until(lambda: page.one("#view").is_displayed())
    title = page.one("#view-title").text
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: page.one("#view-title").text != title)
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.one("#view").is_displayed())
    page.until(lambda: page.driver.switch_to.active_element == page.many(".card .open")[2])


def test_chinese_and_dark_are_a_click_away(page):
    assert page.driver.execute_script("return document.documentElement.lang") == "en"
    page.one("#language").click()
    assert page.one("#add").text == "添加图片"
    assert page.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    page.until(lambda: page.status() == "最新的在前")
    before = page.one("body").value_of_css_property("background-color")
    page.one("#theme").click()
    assert page.one("body").value_of_css_property("background-color") != before
    page.open(page.url)
    assert page.one("#add").text == "添加图片"
    assert page.one("body").value_of_css_property("background-color") != before


def test_a_chinese_browser_is_greeted_in_chinese(browser, filled):
    page = Page(filled.url, language="zh-CN")
    try:
        assert page.one("#add").text == "添加图片"
        page.search("船")
        assert page.ids() == api_ids(filled, text="船", top_k=48)
    finally:
        page.driver.quit()


def test_pictures_are_added_with_progress_and_deleted(browser, start_server, photos, tmp_path):
    server = start_server("--no-access-log")
    page = Page(server.url)
    try:
        assert "Nothing here yet" in page.one("#empty").text
        bad = tmp_path / "broken.jpg"
        bad.write_bytes(photos[0].read_bytes()[:500])
        files = [*photos[:5], bad]
        page.one("#add-files").send_keys("\n".join(str(p) for p in files))
        page.until(lambda: page.one("#tray-title").text == "5 added, 1 failed", 60)
        rows = page.many("#tray-list li")
        assert len(rows) == 6
        assert [r.get_attribute("class") for r in rows].count("failed") == 1
        page.until(lambda: len(page.ids()) == 5)
        page.until(lambda: page.one("#count").text == "5 pictures")
        gone = page.ids()[0]
        page.one("#tray-close").click()
        page.one(".card .open").click()
        page.until(lambda: page.one("#view").is_displayed())
        page.one("#view-delete").click()
        page.one("#confirm button[value=no]").click()
        page.until(lambda: not page.one("#confirm").is_displayed())
        assert requests.get(f"{server.url}/v1/images/{gone}", timeout=20).status_code == 200
        page.one("#view-delete").click()
        page.one("#confirm button[value=yes]").click()
        page.until(lambda: len(page.ids()) == 4)
        assert gone not in page.ids()
        assert requests.get(f"{server.url}/v1/images/{gone}", timeout=20).status_code == 404
        assert page.complaints() == []
    finally:
        page.driver.quit()


def test_the_page_is_photographed_for_the_readme(browser, program, assets, photos,
                                                 tmp_path_factory):
    folder = tmp_path_factory.mktemp("shot")
    target = os.environ.get("LK_SCREENSHOT") or folder / "page.png"
    groceries = sorted((assets / "photos" / "grocery").rglob("*.jpg"))[::9]
    server = Server(folder / "data", "--no-access-log")
    try:
        add_files(server.url, [*photos, *groceries])
        page = Page(server.url)
        page.search("boat")
        page.until(lambda: page.driver.execute_script(
            "return [...document.querySelectorAll('.card img')].slice(0, 20)"
            ".every((i) => i.naturalWidth > 0)"))
        time.sleep(0.5)
        shot = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
        page.driver.quit()
        assert shot.width == 1360
        assert len(shot.getcolors(1 << 24)) > 10000
        shot.save(target, optimize=True)
    finally:
        assert server.stop() == 0
