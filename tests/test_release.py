"""What is published: addresses are filled in at one place, and a wheel is small and without tests."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import publishing
import pytest

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY, SITE = publishing.REHEARSED
NAMES = ("README.md", "setup.cfg", "CITATION.cff")


def test_every_link_of_the_published_readme_is_absolute(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copy(ROOT / name, tmp_path)
    publishing.filled(tmp_path, REPOSITORY, SITE)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 6 and [link for link in links if not link.startswith("https://")] == []
    assert f"]({REPOSITORY}/raw/main/analysis/gflow_studies/figures/gallery/fig3-loss.svg)" in text
    assert f"\n[The site]({SITE}) has the rest" in text
    assert f"\n    Source = {REPOSITORY}\n" in (tmp_path / "setup.cfg").read_text(encoding="utf-8")
    assert f"\nrepository-code: {REPOSITORY}\n" in (tmp_path / "CITATION.cff").read_text(encoding="utf-8")


def test_nothing_in_the_repository_names_an_address() -> None:
    for name in NAMES:
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_a_wheel_with_tests_and_one_that_is_too_large_are_refused(tmp_path: Path) -> None:
    for name, size in (("gflow/ok.py", 10), ("tests/test_x.py", 10), ("gflow/large.bin", publishing.LARGEST + 1)):
        wheel = tmp_path / "a.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(name, "x" * size)
        if name == "gflow/ok.py":
            publishing.checked(wheel)
        else:
            with pytest.raises(AssertionError, match=r"a\.whl"):
                publishing.checked(wheel)


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        publishing.REHEARSED,
        ("REPOSITORY", "SITE"),
        ("http://code.host.org/a/gflow", "https://gflow.host.org"),
        ("https://code.host.org/gflow", "https://gflow.host.org"),
        ("https://code.host.org/a/gflow", ""),
        ("https://localhost/a/gflow", "https://gflow.host.org"),
    ],
)
def test_an_address_that_is_nobody_s_is_refused(repository: str, site: str) -> None:
    publishing.known("https://code.host.org/a/gflow", "https://gflow.host.org")
    with pytest.raises(ValueError, match="must"):
        publishing.known(repository, site)


def test_a_wheel_that_names_no_source_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    for line in ("Project-URL: Source, https://code.host.org/a/gflow", "Name: gflow-toolkit"):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("gflow_toolkit-0.dist-info/METADATA", f"Metadata-Version: 2.4\n{line}\n")
        if line.startswith("Project"):
            publishing.checked(wheel, "https://code.host.org/a/gflow")
        else:
            with pytest.raises(AssertionError, match="names no source"):
                publishing.checked(wheel, "https://code.host.org/a/gflow")
