"""Build what is published, with its addresses, and check it: python scripts/release.py REPOSITORY SITE [--to dist]

REPOSITORY is where the code is published, such as https://host/owner/gflow, and SITE where docs/_build is. Nothing in
the repository names either; this is the one place where they are given, and an address that is missing or nobody's is
refused. From the committed files a copy is made in which the links and pictures of the README are absolute, badges
stand under its title, and setup.cfg and CITATION.cff name both. The wheel and the source archive are built from the
copy, checked by twine, and the wheel is installed in an environment of its own and run. Needs the packages build and
twine. Nothing is uploaded. With --rehearse instead of addresses all of it is done with reserved ones, and nothing kept.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from publishing import REHEARSED, known, published

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("addresses", nargs="*", metavar="ADDRESS", help="REPOSITORY and SITE")
    parser.add_argument("--to", type=Path, default=Path("dist"), help="an empty folder (default: dist)")
    parser.add_argument("--rehearse", action="store_true", help="build and check with addresses that are nobody's")
    asked = parser.parse_args()
    if asked.rehearse:
        with tempfile.TemporaryDirectory() as folder:
            published(*REHEARSED, Path(folder))
        raise SystemExit
    if len(asked.addresses) != 2:
        parser.error("REPOSITORY and SITE are needed: the addresses of the publication, which nothing else names")
    try:
        known(*asked.addresses)
    except ValueError as wrong:
        parser.error(str(wrong))
    published(*asked.addresses, asked.to)
