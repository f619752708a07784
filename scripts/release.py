"""Build what is published, with its addresses, and check it: python scripts/release.py REPOSITORY SITE [--to dist]

REPOSITORY is where the code is published, such as https://host/owner/gflow, and SITE where docs/_build is. Nothing in
the repository names either; this is the one place where they are given. From the committed files a copy is made in
which the links and pictures of the README are absolute, badges stand under its title, and setup.cfg and CITATION.cff
name both. The wheel and the source archive are built from the copy, checked by twine, and the wheel is installed in an
environment of its own and run. Needs the packages build and twine. Nothing is uploaded.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from publishing import published

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository")
    parser.add_argument("site")
    parser.add_argument("--to", type=Path, default=Path("dist"), help="an empty folder (default: dist)")
    asked = parser.parse_args()
    published(asked.repository, asked.site, asked.to)
