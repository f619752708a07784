"""The page of the explorer in a real browser, driven by mouse and keys as people do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import ALERTS, INSPECTION, NAMES, Browser, browser, executable

import gflow
from gflow.explore import Explorer, first_message

pytestmark = pytest.mark.skipif(executable() is None, reason=f"none of {', '.join(NAMES)} is installed")

PATIENCE = 60.0
"""Seconds after which a page that does not show what it should is given up."""
UP_TO_DATE = "document.getElementById('running')?.textContent === 'up to date'"
KEYS = {"Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Home": 36}


class Page:
    """One open page: what it shows, and hands that press, type and drag."""

    def __init__(self, running: Browser) -> None:
        self.browser = running
        target = running.send("Target.createTarget", url="about:blank")["targetId"]
        running.session, before = "", running.session
        self.session = running.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        running.session = before
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.browser.session = self.session
        return self.browser.send(method, **parameters)

    def see(self, expression: str) -> Any:
        self.browser.session = self.session
        return self.browser.evaluate(expression)

    def until(self, expression: str) -> None:
        """Wait until something is seen."""
        limit = time.monotonic() + PATIENCE
        while not self.see(expression):
            assert time.monotonic() < limit, (expression, self.see("document.body.innerText"))
            time.sleep(0.02)

    def open(self, address: str, width: int = 1280, dark: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", media="screen", features=scheme)
        self.send("Page.navigate", url=address)
        self.until("document.body?.dataset.limit !== undefined")

    def place(self, selector: str, number: int = 0) -> tuple[float, float]:
        found = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        return tuple(
            self.see(
                f"(() => {{ const e = {found}; e.scrollIntoView({{block: 'center'}}); const b = "
                "e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2] })()"
            )
        )

    def mouse(self, kind: str, x: float, y: float) -> None:
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **held)

    def click(self, selector: str, number: int = 0) -> None:
        x, y = self.place(selector, number)
        self.mouse("Pressed", x, y)
        self.mouse("Released", x, y)

    def drag(self, selector: str, number: int, far: float) -> None:
        x, y = self.place(selector, number)
        self.mouse("Pressed", x, y)
        for step in range(1, 6):
            self.mouse("Moved", x + far * step / 5, y)
        self.mouse("Released", x + far, y)

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"text": {"Enter": "\r"}.get(key, key)} if len(key) == 1 or key == "Enter" else {}
            code = {"windowsVirtualKeyCode": KEYS[key]} if key in KEYS else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def paste(self, text: str) -> None:
        """Paste into what has the focus."""
        self.see(
            f"(() => {{ const d = new DataTransfer(); d.setData('text', {json.dumps(text)}); "
            "const held = {bubbles: true, cancelable: true, clipboardData: d}; "
            "document.activeElement.dispatchEvent(new ClipboardEvent('paste', held)) })()"
        )

    def learned(self, row: int, column: int) -> str:
        return f"document.querySelector('.learned')?.rows[{row}]?.cells[{column}]?.innerText.trim()"

    def faults(self) -> list[str]:
        """Return what the console says, and every request that goes elsewhere."""
        said = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event.get("method") in ALERTS:
                said.append(json.dumps(event["params"])[:300])
            elif event.get("method") == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                said += [] if url.startswith(("http://127.0.0.1:", "data:", "blob:")) else [url]
        return said


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@contextmanager
def exploring(name: str) -> Iterator[Explorer]:
    explorer = Explorer(first_message(gflow.data.example(name), name), 0)
    try:
        yield explorer
    finally:
        explorer.close()


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    with exploring("fig3") as running:
        yield running


@pytest.fixture(scope="module")
def page(chromium: Browser, explorer: Explorer) -> Page:
    """Open one page, which the tests share: each begins by opening a state of its own in it."""
    found = Page(chromium)
    found.open(explorer.address)
    return found


def begin(page: Page, link: str) -> None:
    """Go to a state by its link, as who follows it does."""
    before = page.see("document.body.dataset.limit")
    page.see(f"location.hash = {json.dumps(link)}")
    page.until(f"document.body.dataset.limit !== '{before}'")


FIG3 = "m=4,0.6,1.8,0.8;6,0.9,2.7,3.3;8,2.2,2.6,1.6;8,2.7,5.1,3.6"
FIG4 = "m=1,*,3;*,5,*;3,*,9"


def test_hiding_the_entry_of_figure_3_shows_what_is_learned_there(page: Page) -> None:
    begin(page, FIG3)
    assert page.see(page.learned(2, 4)) == "3.3"
    page.click(".cell", 7)
    page.until(f"{page.learned(2, 4)} === '1.2'")
    assert page.see("document.querySelectorAll('.cell')[7].classList.contains('hidden')")
    assert "connected" == page.see("document.getElementById('class').textContent")
    page.until("document.getElementById('numbers').textContent.includes('the least possible')")
    assert page.see("document.querySelectorAll('#stairs .strong').length") == 4
    assert page.see("document.querySelectorAll('.escape svg').length") == 3
    page.click(".cell", 7)  # and shows it again, with its value
    page.until(f"{page.learned(2, 4)} === '3.3'")
    assert page.faults() == []


def test_by_keys_alone_figure_4_is_made_its_law_seen_and_ten_starts_drawn(page: Page) -> None:
    begin(page, "m=1,1,3;1,5,1;3,1,9")
    page.see("document.getElementById('grid').querySelector('[tabindex=\"0\"]').focus()")
    page.press("Home", "ArrowUp", "ArrowUp", "ArrowRight", " ", "ArrowDown", "ArrowLeft", " ")
    page.press("ArrowRight", "ArrowRight", " ", "ArrowDown", "ArrowLeft", " ")
    page.until("document.getElementById('class').textContent.includes('complete bipartite')")
    page.until("document.querySelectorAll('.learned .open .law').length === 4")
    assert page.see(page.learned(1, 2)) == "0 ± 1.29"
    page.see("document.getElementById('draw').focus()")
    page.press("Enter")
    page.until("document.querySelectorAll('#drawn button').length === 10")
    assert page.see("document.querySelectorAll('.learned .open')[0].querySelectorAll('.start').length") == 10
    page.click("#drawn button", 3)
    assert page.see(page.learned(1, 2)) != "0 ± 1.29"
    page.see("document.getElementById('drawn').querySelectorAll('button')[3].click()")
    page.see("document.querySelector('[name=depth][value=\"2\"]').focus()")
    page.press("ArrowRight")  # depth three
    page.until("document.querySelector('#numbers dd').textContent.startsWith('1')")
    page.until(f"{page.learned(1, 2)} === '−2.24 or 2.24'")
    assert page.faults() == []


def test_a_value_is_dragged_typed_and_refused_beside_its_cell(page: Page) -> None:
    begin(page, "m=1,2;3,*")
    page.until(f"{page.learned(2, 2)} === '6'")
    page.drag(".cell", 1, 60.0)
    page.until(f"Number({page.learned(2, 2)}) > 6.5")
    page.until(UP_TO_DATE)
    page.click("#undo")
    page.until(f"{page.learned(2, 2)} === '6'")
    page.see("document.querySelectorAll('.cell')[2].focus()")
    page.press("4", ".", "5", "Enter")
    page.until(f"{page.learned(2, 2)} === '9'")
    page.paste("4x")
    page.until("!document.getElementById('fault').hidden")
    assert page.see("document.getElementById('fault').textContent").startswith("'4x' is not a number")
    assert page.see("document.querySelectorAll('.cell')[2].getAttribute('aria-invalid')") == "true"
    assert page.see(page.learned(2, 2)) == "9"  # the last good picture stays, and is greyed
    assert page.see("document.getElementById('limit').classList.contains('stale')")
    page.press("5", "Enter")
    page.until(f"{page.learned(2, 2)} === '10'")
    assert page.see("document.getElementById('fault').hidden")
    page.paste("1\t2\t3\n2\t4\t*")
    page.until(f"{page.learned(2, 3)} === '6'")
    assert page.faults() == []


@pytest.mark.slow
def test_a_sweep_across_a_change_of_class_marks_it_and_a_link_restores_all(page: Page, chromium: Browser) -> None:
    begin(page, "m=1,*;*,3&sweep=1,1,1,2,-1,2")
    page.until("document.querySelectorAll('#swing .jump').length === 1")
    assert "class changes" in page.see("document.getElementById('jumps').textContent")
    page.click("#draw")
    page.until("document.querySelectorAll('#drawn button').length === 10")
    page.click("[data-take=link]")
    page.until("document.getElementById('takentext').textContent.includes('draws=10')")
    link = page.see("document.getElementById('takentext').textContent")
    page.click("[data-take=program]")
    program = page.see("document.getElementById('takentext').textContent")
    assert "gflow.saddle_to_saddle(problem)" in program and "swept" in program
    before = page.see("document.getElementById('learned').innerHTML")
    page.until("document.querySelectorAll('#verdicts li').length >= 6")
    other = Page(chromium)
    other.open(link)
    other.until("document.querySelectorAll('#drawn button').length === 10")
    other.until("document.querySelectorAll('#swing .jump').length === 1")
    assert other.see("document.getElementById('learned').innerHTML") == before
    begin(other, "m=1,2;3,*")  # two sessions at once: the first stays as it is
    assert page.see("document.getElementById('learned').innerHTML") == before
    assert page.faults() == [] and other.faults() == []
    other.send("Page.close")


def test_everything_is_taken_away_as_files(page: Page) -> None:
    begin(page, FIG4 + "&draws=10")
    page.until("document.querySelectorAll('#drawn button').length === 10 && !document.querySelector('#course.stale')")
    page.see(
        """window.kept = {}; let last; URL.createObjectURL = blob => { last = blob; return 'blob:kept' };
        HTMLAnchorElement.prototype.click = function () {
        const name = this.download; last.text().then(text => { window.kept[name] = text }); }"""
    )
    for kind in ("csv", "json", "svg"):
        page.click(f"[data-take={kind}]")
    page.until("Object.keys(kept).includes('limit.csv') && Object.keys(kept).includes('gflow-explore.json')")
    table = page.see("kept['limit.csv']").splitlines()
    assert table[0].startswith("row,column,observed,value,limit,determined,std,seed_0") and len(table) == 10
    drawing = page.see("kept['chain-of-saddles.svg']")
    assert drawing.startswith("<svg") and "var(" not in drawing and "class=" not in drawing
    held = json.loads(page.see("kept['gflow-explore.json']"))
    assert held["limit"]["kind"] == "disconnected-complete-bipartite" and held["state"]["values"][1][1] == 5


def test_a_slider_moves_alpha_and_what_runs_can_be_stopped(page: Page) -> None:
    begin(page, FIG4)
    page.until(UP_TO_DATE)
    page.see("document.getElementById('alpha').focus()")
    page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    page.until("location.hash.includes('alpha=-9')")
    page.until("!document.getElementById('course').classList.contains('stale')")
    assert "1e−9" == page.see("document.getElementById('alphavalue').textContent")
    page.see("document.querySelector('[name=depth][value=\"4\"]').click()")
    page.until("!document.getElementById('stop').hidden")
    page.see("document.getElementById('stop').click()")
    page.until("document.getElementById('running').textContent === 'stopped'")
    page.see("document.getElementById('go').click()")
    page.until(UP_TO_DATE)
    assert page.faults() == []


@pytest.mark.slow
def test_many_edits_leave_the_page_as_small_as_it_was(page: Page) -> None:
    begin(page, FIG4)
    page.until(UP_TO_DATE)
    count = page.see("document.getElementsByTagName('*').length")
    for _ in range(15):
        page.click("#more")
        page.click("#less")
    page.until("location.hash.startsWith('#m=1,*,3;')")
    page.until(UP_TO_DATE)
    assert page.see("document.getElementsByTagName('*').length") <= count


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_the_page_is_legible_and_fits(page: Page, explorer: Explorer, width: int, dark: bool) -> None:
    page.open(f"{explorer.address}?{width}#{FIG4}", width, dark)
    page.until("document.querySelectorAll('#verdicts li').length > 3 && !document.querySelector('.stale#course')")
    look = json.loads(page.see(INSPECTION))
    wide = page.see(
        "JSON.stringify([...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, .gridbox, pre, svg')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id || e.className))"
    )
    assert look["overflow"] <= 0 and json.loads(wide) == []
    faint = [pair for pair in look["contrasts"] if pair[0] < 4.5]
    assert faint == []
    if folder := os.environ.get("GFLOW_ARTEFACTS"):
        self = page.browser
        self.session = page.session
        Path(folder, f"explore-{width}-{'dark' if dark else 'light'}.png").write_bytes(self.screenshot())


@pytest.mark.slow
def test_when_the_explorer_ends_what_is_shown_stays_and_a_new_one_goes_on(chromium: Browser) -> None:
    page = Page(chromium)
    with exploring("fig4") as first:
        page.open(first.address)
        page.until(f"{page.learned(1, 2)} === '0 ± 1.29'")
        assert page.faults() == []
    page.until("document.getElementById('running').textContent === 'ended'")
    assert page.see(page.learned(1, 2)) == "0 ± 1.29"
    advice = page.see("document.getElementById('notice').textContent")
    assert f"gflow explore --link '#{FIG4}'" in advice
    with exploring("fig3") as second:
        page.open(f"{second.address}#{FIG4}")
        page.until(f"{page.learned(1, 2)} === '0 ± 1.29'")
