"""Tests of MatrixCompletion: the data, and risk, gradient and curvature as functions of W."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.problems import LARGEST_ENTRY, MatrixCompletion, power_of_four

GAP = np.nan
INTEGERS = st.integers(-9, 9).map(float)
"""Entries whose sums and products are exact in double precision."""


@st.composite
def completions(draw: st.DrawFn, entries: st.SearchStrategy[float] = INTEGERS) -> MatrixCompletion:
    """Return a problem of any small shape, with gaps and observed zeros."""
    d1, d2 = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    values = draw(st.lists(entries, min_size=d1 * d2, max_size=d1 * d2))
    mask = draw(st.lists(st.booleans(), min_size=d1 * d2, max_size=d1 * d2).filter(any))
    return MatrixCompletion(np.reshape(values, (d1, d2)), np.reshape(mask, (d1, d2)))


def draw_matrix(data: st.DataObject, shape: tuple[int, int]) -> np.ndarray:
    """Return a drawn integer matrix of the given shape."""
    size = shape[0] * shape[1]
    return np.reshape(data.draw(st.lists(INTEGERS, min_size=size, max_size=size)), shape)


def exact_risk(problem: MatrixCompletion, W: np.ndarray) -> Fraction:
    """Return R(W) in rational arithmetic, entry by entry."""
    total = Fraction(0)
    for i in range(problem.shape[0]):
        for j in range(problem.shape[1]):
            if problem.observed[i, j]:
                total += (Fraction(W[i, j]) - Fraction(problem.values[i, j])) ** 2
    return total / problem.n_observed


def exact_slope(problem: MatrixCompletion, W: np.ndarray, dW: np.ndarray) -> Fraction:
    """Return the directional derivative of R: a central difference, exact because R is quadratic."""
    return (exact_risk(problem, W + dW) - exact_risk(problem, W - dW)) / 2


def exact_bend(problem: MatrixCompletion, W: np.ndarray, dW: np.ndarray) -> Fraction:
    """Return the second directional derivative of R: a second difference, exact because R is quadratic."""
    return exact_risk(problem, W + dW) - 2 * exact_risk(problem, W) + exact_risk(problem, W - dW)


def slope_defect(gradient: Callable[[np.ndarray], np.ndarray], problem: MatrixCompletion) -> float:
    """Return the largest disagreement of a gradient with exact differences along the unit directions."""
    W = np.arange(1.0, 1.0 + problem.values.size).reshape(problem.shape)
    directions = np.eye(W.size).reshape(-1, *problem.shape)
    return max(abs(float(np.sum(gradient(W) * dW)) - float(exact_slope(problem, W, dW))) for dW in directions)


def test_risk_gradient_and_curvature_agree_with_a_hand_calculation() -> None:
    problem = MatrixCompletion([[1, 2], [3, GAP]])
    W = np.array([[2.0, 2.0], [1.0, 9.0]])
    assert problem.risk(W) == pytest.approx(5 / 3, rel=1e-15)
    assert np.array_equal(problem.residual(W), [[1, 0], [-2, 0]])
    assert problem.gradient(W) == pytest.approx(np.array([[2, 0], [-4, 0]]) / 3, rel=1e-15)
    assert problem.curvature(W) == pytest.approx(np.array([[4, 4], [2, 0]]) / 3, rel=1e-15)


def test_the_loss_of_the_published_matrix_at_the_origin_is_the_published_number() -> None:
    figure_3 = [[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]]
    problem = MatrixCompletion(figure_3)
    assert problem.n_observed == 15
    assert problem.risk(np.zeros((4, 4))) == pytest.approx(16.850667, abs=5e-7)


def test_the_published_loss_has_no_factor_one_half_and_divides_by_the_observations() -> None:
    problem = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
    assert problem.risk(np.zeros((3, 3))) == 25.0
    assert problem.risk(np.array([[1.0, 0, 3], [0, 0, 0], [3, 0, 9]])) == 5.0


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_risk_is_the_mean_squared_error_of_the_observed_entries(problem: MatrixCompletion, data: st.DataObject) -> None:
    W = draw_matrix(data, problem.shape)
    assert problem.risk(W) == float(exact_risk(problem, W))
    assert problem.risk(problem.values) == 0.0


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_the_gradient_is_the_derivative_of_the_risk(problem: MatrixCompletion, data: st.DataObject) -> None:
    W, dW = draw_matrix(data, problem.shape), draw_matrix(data, problem.shape)
    slope = float(np.sum(problem.gradient(W) * dW))
    assert slope == pytest.approx(float(exact_slope(problem, W, dW)), rel=1e-13, abs=1e-11)


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_the_curvature_is_the_derivative_of_the_gradient(problem: MatrixCompletion, data: st.DataObject) -> None:
    W, dW = draw_matrix(data, problem.shape), draw_matrix(data, problem.shape)
    difference = problem.gradient(W + dW) - problem.gradient(W)
    assert problem.curvature(dW) == pytest.approx(difference, rel=1e-13, abs=1e-13)
    bend = float(np.sum(problem.curvature(dW) * dW))
    assert bend == pytest.approx(float(exact_bend(problem, W, dW)), rel=1e-13, abs=1e-11)


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_measure_and_adjoint_are_adjoint(problem: MatrixCompletion, data: st.DataObject) -> None:
    W = draw_matrix(data, problem.shape)
    weights = np.array(data.draw(st.lists(INTEGERS, min_size=problem.n_observed, max_size=problem.n_observed)))
    assert problem.measure(W) @ weights == np.sum(W * problem.adjoint(weights))
    assert np.array_equal(problem.measure(problem.adjoint(weights)), weights)
    assert np.array_equal(problem.adjoint(problem.measure(W)), problem.observed * W)


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_the_residual_is_the_adjoint_of_the_misfit(problem: MatrixCompletion, data: st.DataObject) -> None:
    W = draw_matrix(data, problem.shape)
    misfit = problem.measure(W) - problem.targets
    assert np.array_equal(problem.residual(W), problem.adjoint(misfit))
    assert not problem.residual(W)[~problem.observed].any()


@settings(deadline=None, max_examples=100)
@given(problem=completions(), data=st.data())
def test_transposing_the_problem_transposes_its_gradient(problem: MatrixCompletion, data: st.DataObject) -> None:
    W = draw_matrix(data, problem.shape)
    flipped = problem.transpose
    assert flipped.shape == problem.shape[::-1]
    assert flipped.risk(W.T) == problem.risk(W)
    assert np.array_equal(flipped.gradient(W.T), problem.gradient(W).T)
    assert flipped.transpose == problem


def test_gaps_are_unobserved_and_zeros_are_data() -> None:
    problem = MatrixCompletion([[0, 1, GAP], [GAP, -0.0, 2]])
    assert problem.n_observed == 4
    assert np.array_equal(problem.observed, [[True, True, False], [False, True, True]])
    assert np.array_equal(problem.values, [[0, 1, 0], [0, 0, 2]])
    assert problem.risk(np.ones((2, 3))) == (1 + 0 + 1 + 1) / 4


def test_observed_positions_come_in_row_major_order() -> None:
    problem = MatrixCompletion([[GAP, 1, 2], [3, GAP, 4]])
    assert problem.rows.tolist() == [0, 0, 1, 1]
    assert problem.columns.tolist() == [1, 2, 0, 2]
    assert problem.targets.tolist() == [1, 2, 3, 4]


def test_a_mask_hides_whatever_lies_outside_it() -> None:
    hidden = MatrixCompletion([[1.0, np.inf], [GAP, 7.0]], [[1, 0], [0, 1]])
    assert hidden == MatrixCompletion([[1, GAP], [GAP, 7]])
    assert hidden == MatrixCompletion([[1.0, -3.0], [99.0, 7.0]], np.eye(2, dtype=bool))


def test_integers_booleans_and_single_precision_become_double_precision() -> None:
    expected = MatrixCompletion([[1.0, 0.0, 1.0]])
    for dtype in (int, np.uint8, bool, np.float32, np.float16):
        problem = MatrixCompletion(np.array([[1, 0, 1]], dtype=dtype))
        assert problem == expected
        assert problem.values.dtype == float


def test_the_mask_of_a_masked_array_marks_what_is_unobserved() -> None:
    corner = np.array([[False, False], [False, True]])
    for dtype in (np.int64, np.float64):
        masked = np.ma.array(np.array([[1, 2], [3, 4]], dtype=dtype), mask=corner)
        assert MatrixCompletion(masked) == MatrixCompletion([[1, 2], [3, GAP]])
    with_gap = np.ma.array([[1.0, GAP], [3.0, 4.0]], mask=corner)
    assert MatrixCompletion(with_gap) == MatrixCompletion([[1, GAP], [3, GAP]])
    with pytest.raises(ValueError, match="row 2, column 2 holds nan"):
        MatrixCompletion(np.ma.array([[1, 2], [3, 4]], mask=corner), np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 7), (7, 2)])
def test_every_rectangular_shape_is_kept(shape: tuple[int, int]) -> None:
    problem = MatrixCompletion(np.ones(shape))
    assert problem.shape == shape
    assert problem.n_observed == shape[0] * shape[1]
    assert problem.gradient(np.zeros(shape)).shape == problem.curvature(np.ones(shape)).shape == shape
    assert repr(problem) == f"MatrixCompletion({shape[0]} x {shape[1]}, {shape[0] * shape[1]} observed)"


@settings(deadline=None, max_examples=100)
@given(problem=completions())
def test_a_problem_survives_the_round_trip_through_gaps(problem: MatrixCompletion) -> None:
    assert MatrixCompletion(problem.with_gaps()) == problem
    assert np.array_equal(np.isnan(problem.with_gaps()), ~problem.observed)


def test_problems_are_equal_when_data_and_mask_agree() -> None:
    problem = MatrixCompletion([[1, 0]])
    assert problem == MatrixCompletion([[1, 0]])
    assert problem != MatrixCompletion([[1, GAP]])
    assert problem != MatrixCompletion([[1, 2]])
    assert problem != MatrixCompletion([[1], [0]])
    assert problem != "a matrix"
    with pytest.raises(TypeError, match="unhashable"):
        hash(problem)


def test_a_restricted_problem_divides_by_its_own_number_of_observations() -> None:
    problem = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
    assert problem.restricted([0, 2], (0, 2)) == MatrixCompletion([[1, 3], [3, 9]])
    assert problem.restricted([0, 2], [0, 2]).risk(np.zeros((2, 2))) == (1 + 9 + 9 + 81) / 4
    assert problem.restricted([2, 0], [2]) == MatrixCompletion([[9], [3]])
    with pytest.raises(ValueError, match="no entry of the 1 x 1 matrix is observed"):
        problem.restricted([0], [1])


@pytest.mark.parametrize("size", [1.0, 2.0, np.nextafter(2.0, 4), np.nextafter(8.0, 0), 0.3, 1e-150, 1e150, 12345.0])
def test_the_unit_is_the_power_of_four_within_a_factor_two(size: float) -> None:
    unit = power_of_four(size)
    mantissa, exponent = math.frexp(unit)
    assert mantissa == 0.5
    assert exponent % 2 == 1
    assert 0.5 <= size / unit <= 2.0
    assert math.sqrt(unit) ** 2 == unit


def test_zero_data_have_unit_one() -> None:
    problem = MatrixCompletion([[0, GAP]])
    assert (problem.size, problem.unit) == (0.0, 1.0)
    assert problem.normalized is problem


@settings(deadline=None, max_examples=200)
@given(problem=completions(st.floats(-8, 8).filter(lambda x: x == 0 or abs(x) > 1e-3)), data=st.data())
def test_normalisation_changes_the_risk_by_an_exact_factor(problem: MatrixCompletion, data: st.DataObject) -> None:
    problem = problem.rescaled(data.draw(st.sampled_from([1.0, 1e-140, 1e-20, 1e5, 1e140])))
    W = draw_matrix(data, problem.shape) * problem.unit / 3
    normalized, unit = problem.normalized, problem.unit
    assert np.array_equal(normalized.values * unit, problem.values)
    assert normalized.risk(W / unit) * unit * unit == problem.risk(W)
    assert np.array_equal(normalized.gradient(W / unit) * unit, problem.gradient(W))
    assert np.array_equal(normalized.curvature(W / unit) * unit, problem.curvature(W))
    assert problem.size == 0 or 0.5 <= normalized.size <= 2.0
    assert normalized.unit == 1.0
    assert normalized.normalized is normalized


@pytest.mark.parametrize("size", [1 / LARGEST_ENTRY, 1e-149, 1e149, LARGEST_ENTRY])
def test_extreme_entries_are_ordinary(size: float) -> None:
    problem = MatrixCompletion([[size, -size / 2], [GAP, 0.0]])
    assert problem.risk(np.zeros((2, 2))) == pytest.approx(size * size * 1.25 / 3, rel=1e-14)
    assert problem.normalized.risk(np.zeros((2, 2))) > 0.05
    assert problem.normalized.values[0, 1] == -problem.normalized.values[0, 0] / 2


def test_a_tiny_entry_beside_an_ordinary_one_is_kept() -> None:
    assert MatrixCompletion([[1.0, 5e-324]]).targets[1] == 5e-324


def test_arrays_are_read_only_and_share_nothing_with_the_input() -> None:
    values, mask = np.array([[1.0, 2.0]]), np.array([[True, False]])
    problem = MatrixCompletion(values, mask)
    values[:], mask[:] = 7.0, True
    assert problem == MatrixCompletion([[1, GAP]])
    for name in ("values", "observed", "rows", "columns", "targets"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(problem, name)[...] = 0
    for array in (problem.residual(values), problem.gradient(values), problem.with_gaps()):
        array[...] = 0.0
    assert problem == MatrixCompletion([[1, GAP]])


@pytest.mark.parametrize("values", [1.0, [1.0, 2.0], np.ones((2, 2, 2))])
def test_only_matrices_are_accepted(values: object) -> None:
    with pytest.raises(ValueError, match=r"values must be a matrix \(2 dimensions\); got an array of shape"):
        MatrixCompletion(values)


@pytest.mark.parametrize(
    "values", [[["1", "2"]], [[1 + 0j, 2]], np.array([["2020-01-01"]], dtype="datetime64[D]"), None]
)
def test_only_real_numbers_are_accepted(values: object) -> None:
    with pytest.raises(TypeError, match="values must be an array of real numbers; got dtype"):
        MatrixCompletion(values)


@pytest.mark.parametrize("values", [[[1 + 2j, 2]], [["1", "2"]]])
def test_a_masked_array_must_hold_real_numbers_too(values: object) -> None:
    with pytest.raises(TypeError, match="values must be an array of real numbers; got dtype"):
        MatrixCompletion(np.ma.array(np.asarray(values), mask=np.array([[False, True]])))


@pytest.mark.parametrize("values", [[[GAP, GAP]], np.empty((0, 3)), np.empty((2, 0))])
def test_data_without_an_observation_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"no entry of the \d x \d matrix is observed"):
        MatrixCompletion(values)
    with pytest.raises(ValueError, match="no entry of the 1 x 2 matrix is observed"):
        MatrixCompletion([[1, 2]], [[False, False]])


@pytest.mark.parametrize("mask", [True, [True, False], [[True], [False]], np.ones((1, 2, 1))])
def test_a_mask_of_another_shape_is_refused(mask: object) -> None:
    with pytest.raises(ValueError, match=r"observed must have the shape of values, \(1, 2\); got"):
        MatrixCompletion([[1, 2]], mask)


@pytest.mark.parametrize("mask", [[[1, 2]], [[0.5, 1]], [[GAP, 1]]])
def test_a_mask_holds_only_true_and_false(mask: object) -> None:
    with pytest.raises(ValueError, match="observed must hold only True and False"):
        MatrixCompletion([[1, 2]], mask)


@pytest.mark.parametrize("bad", [GAP, np.inf, -np.inf])
def test_an_observed_entry_that_is_not_finite_is_named(bad: float) -> None:
    with pytest.raises(ValueError, match=f"observed entries must be finite; row 2, column 1 holds {bad}"):
        MatrixCompletion([[1, 2], [bad, 4]], np.ones((2, 2), dtype=bool))


def test_infinity_is_not_a_gap() -> None:
    with pytest.raises(ValueError, match="row 1, column 2 holds inf"):
        MatrixCompletion([[1, np.inf]])


@pytest.mark.parametrize(
    "size", [np.nextafter(LARGEST_ENTRY, np.inf), 1e300, np.nextafter(1 / LARGEST_ENTRY, 0), 1e-320]
)
def test_data_beyond_the_range_of_the_loss_are_refused(size: float) -> None:
    with pytest.raises(ValueError, match=r"max\|M\| must lie in \[1e-150, 1e150\]; it is"):
        MatrixCompletion([[size, 0.0]])


def test_rescaling_out_of_range_is_refused() -> None:
    problem = MatrixCompletion([[2.0, GAP]])
    assert problem.rescaled(-3.0) == MatrixCompletion([[-6.0, GAP]])
    with pytest.raises(ValueError, match=r"max\|M\| must lie in"):
        problem.rescaled(1e200)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda problem, W: problem.gradient(W) / 2,
        lambda problem, W: 2 / problem.values.size * problem.residual(W),
        lambda problem, W: 2 / problem.n_observed * (W - problem.values),
        lambda problem, W: problem.gradient(W) * (problem.values != 0),
    ],
    ids=["factor one half", "all entries counted", "mask forgotten", "observed zeros dropped"],
)
def test_a_wrong_gradient_does_not_pass_the_difference_check(
    wrong: Callable[[MatrixCompletion, np.ndarray], np.ndarray],
) -> None:
    problem = MatrixCompletion([[0, 1, GAP], [GAP, 3, 2]])
    assert slope_defect(problem.gradient, problem) < 1e-13
    assert slope_defect(lambda W: wrong(problem, W), problem) > 0.1


def test_a_unit_that_is_no_power_of_two_would_not_be_exact() -> None:
    values = np.arange(1.0, 100.0)
    assert np.array_equal(values / power_of_four(99.0) * power_of_four(99.0), values)
    assert not np.array_equal(values / 99.0 * 99.0, values)


def test_the_labels_of_a_data_frame_are_kept_and_its_gaps_are_gaps() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, None], "b": [3, 4]}, index=["x", "y\n z"])
    problem = MatrixCompletion(frame)
    assert (problem.row_names, problem.column_names) == (("x", "y z"), ("a", "b"))
    assert problem == MatrixCompletion([[1, 3], [np.nan, 4]])
    nullable = pd.DataFrame({"a": pd.array([1, pd.NA], dtype="Int64"), "b": [None, 2.5]})
    assert MatrixCompletion(nullable) == MatrixCompletion([[1, np.nan], [np.nan, 2.5]])
    assert MatrixCompletion(nullable).row_names is None and MatrixCompletion(nullable).column_names == ("a", "b")
    assert MatrixCompletion(pd.DataFrame([[1.0, 2.0]])).column_names is None
    with pytest.raises(TypeError, match=r"row 1, column 2 holds 'Oslo': names of rows belong in the index"):
        MatrixCompletion(pd.DataFrame({"a": [1], "city": ["Oslo"]}))


def test_names_follow_their_rows_and_columns() -> None:
    problem = MatrixCompletion([[1, 2, 3], [4, 5, 6]], row_names=["a", "b"], column_names=["u", "v", "w"])
    turned, part = problem.transpose, problem.restricted([1], [2, 0])
    assert (turned.row_names, turned.column_names) == (("u", "v", "w"), ("a", "b"))
    assert (part.row_names, part.column_names, part.targets.tolist()) == (("b",), ("w", "u"), [6, 4])
    assert problem.rescaled(3.0).row_names == problem.normalized.row_names == ("a", "b")
    assert problem == MatrixCompletion([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_there_are_as_many_names_as_rows(names: list[str]) -> None:
    with pytest.raises(ValueError, match=f"row_names must hold 2 names, one for each row; got {len(names)}"):
        MatrixCompletion([[1, 2, 3], [4, 5, 6]], row_names=names)


@pytest.mark.parametrize("gap", [None, np.nan, np.ma.masked])
def test_every_gap_in_nested_lists_is_unobserved(gap: object) -> None:
    assert MatrixCompletion([[1.0, gap], [3.0, 4.0]]) == MatrixCompletion([[1, np.nan], [3, 4]])


def test_masked_rows_in_a_list_keep_their_masks() -> None:
    rows = [np.ma.array([1.0, 2.0], mask=[False, True]), np.ma.array([3, 4])]
    assert MatrixCompletion(rows) == MatrixCompletion([[1, np.nan], [3, 4]])
