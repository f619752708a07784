"""What is published: addresses filled in at one place, archives built from a copy, checked, installed and run."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 2_000_000
"""A wheel has at most so many bytes."""
RESERVED = re.compile(r"(^|\.)(example(\.(org|com|net))?|test|invalid|localhost)$")
"""Hosts that are nobody's: a rehearsal names them, and nothing that does is published."""
REHEARSED = "https://example.org/owner/gflow", "https://example.org/gflow"
LINK = re.compile(r"(!?)\[([^]]*)\]\((?![a-z]+:|#)([^)]+)\)")


def readme(text: str, repository: str, site: str) -> str:
    """Return the README with absolute addresses, which an index page needs, a link to the site, and badges."""
    kinds = {"!": "raw", "": "blob"}
    found = LINK.sub(lambda m: f"{m[1]}[{m[2]}]({repository}/{kinds[m[1]]}/main/{m[3]})", text)
    tests = f"[![tests]({repository}/actions/workflows/tests.yml/badge.svg)]({repository}/actions)"
    badge = "[![index](https://img.shields.io/pypi/v/gflow-toolkit)](https://pypi.org/project/gflow-toolkit)"
    title, rest = found.replace("\nThe site has", f"\n[The site]({site}) has").split("\n", 1)
    return f"{title}\n\n{tests} {badge}\n{rest}"


def setup(text: str, repository: str, site: str) -> str:
    """Return setup.cfg with the addresses of the project."""
    lines = (f"Documentation = {site}", f"Source = {repository}", f"Issues = {repository}/issues")
    urls = "".join(f"\n    {line}" for line in (*lines, f"Changelog = {repository}/blob/main/CHANGELOG.md"))
    return text.replace("\nauthor = ", f"\nurl = {site}\nproject_urls ={urls}\nauthor = ", 1)


def citation(text: str, repository: str, site: str) -> str:
    """Return CITATION.cff with both addresses."""
    return text.replace("\nlicense:", f"\nrepository-code: {repository}\nurl: {site}\nlicense:", 1)


def filled(folder: Path, repository: str, site: str) -> None:
    """Fill in the addresses of a copy."""
    for name, change in (
        ("README.md", lambda text: readme(text, repository, site)),
        ("setup.cfg", lambda text: setup(text, repository, site)),
        ("CITATION.cff", lambda text: citation(text, repository, site)),
    ):
        path = folder / name
        before = path.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, name
        path.write_text(after, encoding="utf-8")


def known(repository: str, site: str) -> None:
    """Raise ``ValueError`` unless both are addresses at which something can be published."""
    for name, address in (("REPOSITORY", repository), ("SITE", site)):
        parts = urlsplit(address)
        if parts.scheme != "https" or not parts.hostname or RESERVED.search(parts.hostname):
            raise ValueError(f"{name} must be a public address that begins with https://; got {address!r}")
    if urlsplit(repository).path.count("/") < 2:
        raise ValueError(f"REPOSITORY must name its owner, as https://host/owner/gflow; got {repository!r}")


def checked(wheel: Path, repository: str = "") -> None:
    """Raise ``AssertionError`` where a wheel is too large, holds tests, or does not lead to the repository."""
    assert wheel.stat().st_size < LARGEST, f"{wheel.name} has {wheel.stat().st_size} bytes"
    with zipfile.ZipFile(wheel) as archive:
        tests = [name for name in archive.namelist() if "test_" in name or name.split("/")[0] == "tests"]
        about = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    assert not tests, f"{wheel.name} holds {tests[:3]}"
    assert not repository or f"\nProject-URL: Source, {repository}\n" in "".join(about), f"{wheel.name} names no source"


def run(*command: str | Path, folder: Path) -> None:
    """Run a command, and raise where it fails."""
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


def published(repository: str, site: str, to: Path) -> None:
    """Build the archives in a folder, and check them."""
    with tempfile.TemporaryDirectory() as made:
        copy, alone = Path(made, "copy"), Path(made, "alone")
        copy.mkdir()
        run("git", "archive", "--output", Path(made, "tree.tar"), "HEAD", folder=ROOT)
        run("tar", "-xf", Path(made, "tree.tar"), folder=copy)
        filled(copy, repository.rstrip("/"), site.rstrip("/"))
        run(sys.executable, "-m", "build", "--outdir", to.resolve(), ".", folder=copy)
        archives = sorted(to.resolve().glob("gflow_toolkit-*"))
        run(sys.executable, "-m", "twine", "check", "--strict", *archives, folder=copy)
        (wheel,) = [path for path in archives if path.suffix == ".whl"]
        checked(wheel, repository.rstrip("/"))
        venv.create(alone, with_pip=True)
        python = alone / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", wheel, folder=Path(made))
        run(python, "-m", "gflow", "explain", "--example", "fig3", folder=Path(made))
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, installed and run without the repository")
