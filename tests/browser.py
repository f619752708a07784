"""A headless Chromium spoken to over a pipe in the DevTools protocol, and what an opened page shows."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
"""Seconds after which a silent browser is given up: a page takes a fraction of one."""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-extensions", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
LAUNCHER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads commands from descriptor 3 and answers on 4."""
ALERTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")

INSPECTION = r"""
(() => {
  const channels = text => {
    const numbers = (text.match(/[\d.]+(e-?\d+)?/g) || []).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [...numbers.slice(0, 3).map(x => x * scale), numbers.length > 3 ? numbers[3] : 1];
  };
  const over = (top, under) => top.slice(0, 3).map((x, k) => x * top[3] + under[k] * (1 - top[3]));
  const luminance = color => {
    const [r, g, b] = color.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(channels(getComputedStyle(e).backgroundColor));
    const canvas = getComputedStyle(document.documentElement).colorScheme === 'dark' ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((under, layer) => over(layer, under), canvas);
  };
  const shown = element => {
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    const inside = box.right > 0 && box.width > 1 && box.height > 1;
    return inside && style.visibility === 'visible' && element.checkVisibility();
  };
  const contrasts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('svg, style, script') || !shown(element)) continue;
    const behind = paper(element), front = over(channels(getComputedStyle(element).color), behind);
    const pair = [luminance(front), luminance(behind)].sort((a, b) => b - a);
    contrasts.push([(pair[0] + 0.05) / (pair[1] + 0.05), node.data.trim().slice(0, 40)]);
  }
  const number = text => Number(text.replace('\u2212', '-').replace(/\s/g, ''));
  const unsorted = [...document.querySelectorAll('th[aria-sort=ascending], th[aria-sort=descending]')].filter(th => {
    const column = [...th.parentElement.children].indexOf(th), sign = th.ariaSort === 'ascending' ? 1 : -1;
    const values = [...th.closest('table').tBodies[0].rows].map(row => number(row.cells[column].textContent));
    return values.some((value, k) => k && sign * (value - values[k - 1]) < 0);
  }).length;
  const sizes = [...document.querySelectorAll('figure')].map(figure => {
    const image = figure.querySelector('svg, img'), box = image ? image.getBoundingClientRect() : {width: 0, height: 0};
    const ink = image && image.getBBox ? image.getBBox() : {width: 0, height: 0};
    return [box.width, box.height, ink.width, ink.height];
  });
  const wide = [...document.body.querySelectorAll('*')].filter(e => {
    const inner = e.closest('.scroll, .wide .image, .formula, .skip, .aside');
    return !inner && e.getBoundingClientRect().right > innerWidth + 1;
  }).map(e => e.tagName + '.' + (e.className.baseVal ?? e.className));
  return JSON.stringify({
    contrasts, unsorted, sizes, wide, text: document.body.innerText.length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    paper: paper(document.body),
  });
})()
"""


def executable() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True)
class Look:
    """What a page shows: problems it reports, requests beyond itself, and the inspection of its layout.

    ``contrasts`` holds (ratio, text), ``sizes`` the (width, height) of every figure's image and of its drawing,
    ``overflow`` how many pixels the page is wider than the window, ``wide`` what sticks out.
    """

    errors: list[str]
    requests: list[str]
    contrasts: list[tuple[float, str]]
    sizes: list[tuple[float, float, float, float]]
    overflow: float
    wide: list[str]
    unsorted: int
    text: int
    paper: list[float]


@dataclass
class Browser:
    """A running browser with one page."""

    process: subprocess.Popen[bytes]
    reading: int
    writing: int
    session: str = ""
    last: int = 0
    pending: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; what happens meanwhile is kept in ``events``."""
        self.last += 1
        message: dict[str, Any] = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def receive(self) -> dict[str, Any]:
        """Return the next message; raises ``TimeoutError`` if the browser falls silent."""
        limit = time.monotonic() + PATIENCE
        while b"\0" not in self.pending:
            if not select.select([self.reading], [], [], max(0.0, limit - time.monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {PATIENCE:g} s")
            chunk = os.read(self.reading, 1 << 20)
            if not chunk:
                raise ConnectionError("the browser has ended")
            self.pending += chunk
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def wait(self, method: str) -> None:
        """Read messages until the event of this name has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, page: Path, *, width: int = 1200, dark: bool = False, media: str = "screen") -> Look:
        """Return what the page shows in a window of this width, in the light or dark scheme."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.events.clear()
        self.send("Page.navigate", url=page.as_uri())
        self.wait("Page.loadEventFired")
        found = json.loads(self.evaluate(INSPECTION))
        return Look(errors=list(self._errors()), requests=list(self._requests(page)), **found)

    def _errors(self) -> Iterator[str]:
        for event in self.events:
            if event.get("method") in ALERTS:
                said = event["params"]
                if said.get("type", "error") in ("error", "warning", "assert"):
                    yield json.dumps(said)[:300]

    def _requests(self, page: Path) -> Iterator[str]:
        for event in self.events:
            if event.get("method") == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                if url != page.as_uri() and not url.startswith("data:"):
                    yield url

    def screenshot(self) -> bytes:
        """Return the whole page as a PNG image."""
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    def press_tab(self) -> dict[str, Any]:
        """Press the tabulator; return what has the focus: tag, class, place, and its outline."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        return json.loads(
            self.evaluate(
                """(() => { const e = document.activeElement, box = e.getBoundingClientRect(), s = getComputedStyle(e);
                return JSON.stringify({tag: e.tagName, kind: e.className, left: box.left, top: box.top,
                right: box.right, outline: s.outlineStyle, width: parseFloat(s.outlineWidth)}) })()"""
            )
        )


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile folder of its own, and end it."""
    path = executable()
    assert path is not None
    profiled = f"--user-data-dir={profile}", "about:blank"
    to_browser, writing = os.pipe()
    reading, from_browser = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(to_browser), str(from_browser), path, *FLAGS, *profiled],
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    found = Browser(process, reading, writing)
    try:
        target = found.send("Target.createTarget", url="about:blank")["targetId"]
        found.session = found.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            found.send(f"{domain}.enable")
        yield found
        found.session = ""
        found.send("Browser.close")
        process.wait(PATIENCE)
    finally:
        os.close(writing)
        os.close(reading)
        process.kill()
        process.wait()
