"""Tests of the matrices that are shipped."""

from pathlib import Path

import numpy as np
import pytest

from gflow.data import example, example_description, example_names, example_path

SHAPES = {
    "fig3": (4, 4, 15),
    "fig4": (3, 3, 5),
    "m1": (3, 3, 4),
    "m2": (3, 3, 5),
    "m3": (3, 3, 6),
    "slides1": (2, 2, 3),
    "slides2": (2, 2, 3),
    "slides3": (2, 2, 3),
    "slides4": (2, 2, 3),
    "slides5": (3, 3, 5),
    "zero_coupled": (2, 2, 3),
    "c1": (4, 4, 12),
    "c4": (4, 4, 15),
}


def test_every_example_is_a_file_with_a_description_and_every_file_an_example():
    assert set(example_names()) == set(SHAPES)
    assert {path.name for path in Path(str(example_path("fig3"))).parent.glob("*.csv")} == {f"{n}.csv" for n in SHAPES}
    for name in example_names():
        problem = example(name)
        assert (*problem.shape, problem.n_observed) == SHAPES[name]
        assert example_description(name) and "\n" not in example_description(name)


def test_the_examples_have_the_published_losses_and_completions():
    assert example("fig3").risk(np.zeros((4, 4))) == pytest.approx(16.850667, abs=5e-7)
    assert example("fig4").risk(np.zeros((3, 3))) == 25
    assert example("fig4").risk(np.array([[1, 0, 3], [0, 0, 0], [3, 0, 9]])) == 5
    for name, row, column in (("slides2", (1, 1.5), (1, 2)), ("slides3", (1, 3), (1, 2)), ("slides4", (1, 10), (1, 2))):
        W = np.outer(row, column)
        assert example(name).risk(W) == 0 and W[~example(name).observed] in ([1.5], [6], [20])
    assert example("slides5").risk(np.outer((1, 2, 3), (1, 2, 3))) == 0
    assert example("slides1").values[0, 0] == 0 and example("slides1").observed[0, 0]
    assert example("zero_coupled") == example("zero_coupled").transpose
    completed = np.where(example("fig3").observed, example("fig3").values, 1.2)
    assert np.linalg.svd(completed, compute_uv=False) == pytest.approx([15.7792471, 2.0950802, 0.9088445, 0], abs=5e-8)
    slow = np.where(example("c4").observed, example("c4").values, 0.44930)
    assert np.linalg.svd(slow, compute_uv=False)[3] < 1e-5


def test_an_unknown_example_lists_the_known_ones():
    for of in (example, example_path, example_description):
        with pytest.raises(ValueError, match=r"name must be one of fig3, fig4, .*; got 'fig5'"):
            of("fig5")
