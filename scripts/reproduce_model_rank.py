"""Make every figure on model rank, networks and attention, each with its report, and one index page.

usage: python scripts/reproduce_model_rank.py [FOLDER] [--quick] [--jobs N]
"""

from reproduction import reproduce

STUDIES = "model-rank recovery network-samples networks attention-softmax attention-linear architectures".split()


if __name__ == "__main__":
    reproduce(__doc__, STUDIES, "model-rank", "Model rank, networks and attention")
