"""Print the saddles that a trajectory passes and how it leaves each: escape_directions.py FILE, or --example NAME."""

import argparse

import gflow
from gflow import escape
from gflow.data import example
from gflow.statements import Evidence


def main(argv: list[str] | None = None) -> None:
    """Print one paragraph per saddle."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", metavar="FILE")
    source.add_argument("--example", metavar="NAME")
    parser.add_argument("--scale", type=float, default=1e-8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        problem = example(options.example) if options.example else gflow.read_matrix(options.file)
        given = Evidence.of(problem, seed=options.seed, scale=options.scale)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    objective = gflow.Objective.of(problem, given.model)
    for saddle in given.saddles:
        theta = saddle.point.theta * given.unit**0.5
        closed = escape.residual_escape(problem, given.model, theta)
        measured = escape.escape_directions(objective, theta)
        print(f"saddle of rank {saddle.rank} and loss {objective.value(theta):.8g}")
        print(f"  residual singular values {closed.singular_values.round(8)}")
        print(f"  lambda_1 = 2 sigma_1 / n = {closed.rate:.8g}; from the Hessian {measured.rate:.8g}")
        print(f"  multiplicity r - dim S = {closed.multiplicity}; from the Hessian {measured.multiplicity}")
        print(f"  escape direction u = {closed.u.round(6)}, v = {closed.v.round(6)}")


if __name__ == "__main__":
    main()
