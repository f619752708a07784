"""Keep what people see as pictures and text, to be compared by eye: python scripts/captures.py [FOLDER]

Reports are shown in Chromium as on a laptop, on a phone, in the dark and on paper; commands at 80 and 120 columns; and
pages of the site, where it is built, at 1280 and 390 pixels.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from looks import SITE, report_shown, site_shown

COMMANDS = ("explain --example fig3", "explain --example fig4", "verify --example fig3", "limit --example fig4")


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
        report_shown(folder, f"file://{made}/report/report.html")
        if SITE.is_dir():
            site_shown(folder, Path(made) / "profile")
