"""Make every figure of Bai et al. 2024, and the new ones beside them, each with its report, and one index page.

usage: python scripts/reproduce_bai2024.py [FOLDER] [--quick] [--jobs N]
"""

from reproduction import reproduce

from gflow.studies import study_names

if __name__ == "__main__":
    names = [name for name in study_names() if name.startswith(("bai2024-", "limit-", "premise-"))]
    reproduce(__doc__, names, "bai2024", "Bai, Zhao, Zhang 2024: the figures, recomputed")
