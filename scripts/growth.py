"""Measure how time and memory of a gradient and a Hessian-vector product grow; print the exponents and plot them.

OMP_NUM_THREADS=1 python scripts/growth.py [FILE.svg, by default growth.svg]
"""

import argparse
from pathlib import Path

from gflow_studies.benchmarks import draw_growth, growth
from gflow_studies.benchmarks.growth import growth_table

from gflow.plots import figure_svg, standalone_svg

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("growth.svg"), metavar="FILE.svg")
    path = parser.parse_args().file
    rows = growth()
    print(growth_table(rows))
    alt = "Costs of a gradient and of a Hessian-vector product against the size of the problem."
    picture = figure_svg(lambda ax: draw_growth(rows, ax), alt=alt, figsize=(7.2, 4.8))
    path.write_text(standalone_svg(picture), encoding="utf-8")
    print(path)
