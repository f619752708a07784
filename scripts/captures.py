"""Keep what people see as pictures and text, to be compared by eye: python scripts/captures.py [FOLDER]

Reports are shown in Chromium as on a laptop, on a phone, in the dark and on paper; commands at 80 and 120 columns; and
pages of the site, where it is built, at 1280 and 390 pixels.
"""

import base64
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import browser

COMMANDS = ("explain --example fig3", "explain --example fig4", "verify --example fig3", "limit --example fig4")
LOOKS = {"laptop": "1280,2600", "phone": "390,2600", "dark": "1280,2600"}
BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")

SITE = Path(__file__).parents[1] / "docs" / "_build"
PAGES = {"home": "index", "theorem": "theorems/generated/thm3", "gallery": "gallery/index"}


def site(folder: Path, profile: Path) -> None:
    """Keep some pages of the site, in few colours."""
    with browser(profile) as opened:
        for name, place in PAGES.items():
            for width in (1280, 390):
                opened.open(SITE / f"{place}.html", width=width)
                picture = Image.open(io.BytesIO(base64.b64decode(opened.send("Page.captureScreenshot")["data"])))
                picture.quantize(32).save(folder / f"site-{name}-{width}.png", optimize=True)


def shown(command: str, *more: str, columns: int) -> str:
    """Return what a command prints in a terminal of so many columns."""
    asked = [sys.executable, "-m", "gflow", *command.split(), *more, "--quiet"]
    environment = os.environ | {"COLUMNS": str(columns)}
    return subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "captures")
    folder.mkdir(parents=True, exist_ok=True)
    for columns in (80, 120):
        for command in COMMANDS:
            name = f"{command.replace(' --example ', '-')}-{columns}.txt"
            (folder / name).write_text(shown(command, columns=columns), encoding="utf-8")
    with tempfile.TemporaryDirectory() as made:
        shown("verify --example fig3", "--out", f"{made}/report", columns=80)
        page = f"file://{made}/report/report.html"
        for look, size in LOOKS.items():
            dark = ["--blink-settings=preferredColorScheme=0"] if look == "dark" else []
            target = (f"--screenshot={folder / look}.png", f"--window-size={size}", "--hide-scrollbars")
            subprocess.run([*BROWSER, *dark, *target, page], check=True, capture_output=True)
        if SITE.is_dir():
            site(folder, Path(made) / "profile")
        subprocess.run([*BROWSER, f"--print-to-pdf={folder / 'paper.pdf'}", page], check=True, capture_output=True)
