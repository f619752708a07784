"""What reports and pages of the site look like, as pictures."""

from __future__ import annotations

import base64
import io
import subprocess
from pathlib import Path

from browser import browser
from PIL import Image

SITE = Path(__file__).parents[1] / "docs" / "_build"
PAGES = {
    "home": "index",
    "theorem": "theorems/generated/thm3",
    "gallery": "gallery/index",
    "tutorial": "tutorials/paper",
    "reference": "reference/api/index",
    "numbers": "numbers",
}
LOOKS = {"laptop": "1280,2600", "phone": "390,2600", "dark": "1280,2600"}
BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def report_shown(folder: Path, page: str) -> None:
    """Keep a report as on a laptop, on a phone, in the dark and on paper."""
    for look, size in LOOKS.items():
        dark = ["--blink-settings=preferredColorScheme=0"] if look == "dark" else []
        target = (f"--screenshot={folder / look}.png", f"--window-size={size}", "--hide-scrollbars")
        subprocess.run([*BROWSER, *dark, *target, page], check=True, capture_output=True)
    subprocess.run([*BROWSER, f"--print-to-pdf={folder / 'paper.pdf'}", page], check=True, capture_output=True)


def site_shown(folder: Path, profile: Path) -> None:
    """Keep some pages of the site, in few colours."""
    with browser(profile) as opened:
        for name, place in PAGES.items():
            for width in (1280, 390):
                opened.open(SITE / f"{place}.html", width=width)
                picture = Image.open(io.BytesIO(base64.b64decode(opened.send("Page.captureScreenshot")["data"])))
                picture.quantize(32).save(folder / f"site-{name}-{width}.png", optimize=True)
