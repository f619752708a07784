"""Plots: the drawn lines are the data, and the vector graphics are equal byte for byte, readable and self-contained."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gflow import plots

ROOT = Path(__file__).parent.parent
TIMES = np.linspace(0, 50, 40)
LOSSES = 20 / (1 + np.exp(TIMES - 10)) + 1e-6
SIGMAS = np.stack([LOSSES, LOSSES / 10, LOSSES / 100], axis=1)
ALPHAS = 10.0 ** -np.arange(1, 6)
ROWS = np.stack([np.cos(TIMES)[:, None] * [1, 2], np.sin(TIMES)[:, None] * [1, 2]], axis=-1)
STATUSES = [["observed", "determined"], ["seed-dependent", "undecided"]]

DRAWINGS: dict[str, Callable[[Any], Any]] = {
    "loss": lambda ax: plots.draw_loss(TIMES, LOSSES, ax, plateaus=[(0, 8, 20.0), (15, 50)]),
    "gradient": lambda ax: plots.draw_gradient_norm(TIMES, LOSSES, ax, marks=[4.0]),
    "singular": lambda ax: plots.draw_singular_values(TIMES, SIGMAS, ax, label="$W$"),
    "convergence": lambda ax: plots.draw_convergence([("direct", ALPHAS, ALPHAS**0.5, 0.5)], ax),
    "orders": lambda ax: plots.draw_convergence([("direct", ALPHAS, ALPHAS**0.5, 0.5)], ax, predicted=[0.6]),
    "chain": lambda ax: plots.draw_chain(
        [(TIMES, LOSSES)], [(0.0, 20.0, "rank 0"), (50.0, 0.0, "rank 1")], ax, xlabel="way"
    ),
    "plateaus": lambda ax: plots.draw_plateau_times(ALPHAS, np.log(1 / ALPHAS)[:, None], np.ones((5, 1)), ax),
    "graph": lambda ax: plots.draw_observation_graph(
        [(0, 0), (1, 1)], ax, shape=(3, 2), zeros=[(0, 1)], components=[([0], [0]), ([1], [1])]
    ),
    "matrix": lambda ax: plots.draw_matrix([[1.0, -2.5], [np.nan, 3e-9]], STATUSES, ax),
    "polar": lambda ax: plots.draw_polar(ROWS, np.swapaxes(ROWS, 1, 2), ax),
}


def projection(name: str) -> str | None:
    return "polar" if name == "polar" else None


@cache
def image(name: str) -> str:
    return plots.figure_svg(DRAWINGS[name], alt=f"A drawing of {name}.", projection=projection(name))


def luminance(color: str) -> float:
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_lines_of_a_loss_are_the_data_and_its_plateaus_are_shaded() -> None:
    ax = Figure().subplots()
    assert plots.draw_loss(TIMES, LOSSES, ax, plateaus=[(0, 8, 20.0), (15, 33, 0.5)], color="k") is ax
    assert np.array_equal(ax.lines[0].get_xydata(), np.column_stack([TIMES, LOSSES]))
    assert ax.lines[0].get_color() == "k"
    assert [patch.get_x() for patch in ax.patches] == [0, 15]
    assert [text.get_text() for text in ax.texts] == ["20", "0.5"]
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "time $t$", "loss $R$")


def test_every_singular_value_is_a_line_of_its_own() -> None:
    ax = plots.draw_singular_values(TIMES, SIGMAS, Figure().subplots(), label="A")
    assert np.array_equal(np.array([line.get_ydata() for line in ax.lines]), SIGMAS.T)
    assert len({line.get_color() for line in ax.lines}) == 3
    assert ax.get_ylabel() == "singular values of A"


def test_the_guide_of_a_convergence_plot_has_the_slope_that_was_given() -> None:
    ax = plots.draw_convergence([("a", ALPHAS, 3 * ALPHAS**0.57, 0.57)], Figure().subplots())
    guide = np.log(ax.lines[1].get_xydata())
    assert np.diff(guide[:, 1]) / np.diff(guide[:, 0]) == pytest.approx(0.57)
    assert np.exp(guide[:, 1]) == pytest.approx(3 * ALPHAS**0.57)


def test_the_predicted_power_stands_beside_the_fitted_one() -> None:
    ax = DRAWINGS["orders"](Figure().subplots())
    _, fitted, predicted = (np.log(line.get_xydata()) for line in ax.lines)
    for line, order in ((fitted, 0.5), (predicted, 0.6)):
        assert np.diff(line[:, 1]) / np.diff(line[:, 0]) == pytest.approx(order)
        assert np.exp(line[:, 1]) == pytest.approx(plots.power_law(ALPHAS, ALPHAS**0.5, order))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["direct: 0.5 (0.6)"]
    plain = plots.draw_convergence([("a", ALPHAS, ALPHAS, None)], Figure().subplots(), predicted=[1.0])
    assert [text.get_text() for text in plain.get_legend().get_texts()] == ["a: no fit (1)"]


def test_waiting_times_have_guides_of_their_own() -> None:
    waits, guide = np.log(1 / ALPHAS)[:, None], np.geomspace(0.1, 1e-5, 9)
    lines = np.log(1 / guide)[:, None]
    ax = plots.draw_plateau_times(ALPHAS, waits, lines, Figure().subplots(), guide_alphas=guide, labels=["origin"])
    dashed, points = ax.lines
    assert np.array_equal(dashed.get_xydata(), np.column_stack([guide, lines[:, 0]]))
    assert np.array_equal(points.get_xydata(), np.column_stack([ALPHAS, waits[:, 0]]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["origin"]


def test_a_chain_shows_its_orbits_and_saddles_and_a_loss_of_zero_at_its_foot() -> None:
    ax = DRAWINGS["chain"](Figure().subplots())
    orbit, first, last = ax.lines
    assert np.array_equal(orbit.get_xydata(), np.column_stack([TIMES, LOSSES]))
    assert first.get_xydata().tolist() == [[0.0, 20.0]] and last.get_xydata().tolist() == [[50.0, 0.0]]
    assert (first.get_marker(), last.get_marker()) == ("o", "v")
    assert last.get_transform() == ax.get_xaxis_transform()
    assert [text.get_text() for text in ax.texts] == ["rank 0", "rank 1"]
    low, high = ax.get_ylim()
    assert 0 < low < 20.0 < high


def test_the_graph_has_one_line_per_edge_and_dashes_for_zeros() -> None:
    ax = DRAWINGS["graph"](Figure().subplots())
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2]
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert len(lines) == 3 and len(dashed) == 1
    edges = [line.get_color() for line in lines if line not in dashed]
    assert edges == list(plots.PALETTE[:2])
    isolated = [line for line in ax.lines if len(line.get_xdata()) == 1][2]
    assert isolated.get_color() == plots.PALETTE[5]


def test_a_matrix_shows_a_number_per_cell_and_a_star_where_there_is_none() -> None:
    ax = DRAWINGS["matrix"](Figure().subplots())
    assert [text.get_text() for text in ax.texts] == ["1", "\N{MINUS SIGN}2.5", "*", "3e\N{MINUS SIGN}09"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [str(s) for s in plots.EntryStatus]


def test_polar_paths_have_the_norm_as_radius() -> None:
    ax = DRAWINGS["polar"](Figure().subplots(subplot_kw={"projection": "polar"}))
    radii = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == len(TIMES)]
    assert np.allclose(radii, np.array([1, 2, 1, 2])[:, None] * np.ones(len(TIMES)))


def test_polar_labels_stand_where_no_path_is() -> None:
    ax = Figure().subplots(subplot_kw={"projection": "polar"})
    rows = np.array([[[1.0, 0.1]], [[2.0, 0.2]]])
    plots.draw_polar(rows, np.swapaxes(rows, 1, 2), ax, title="from rank 1", legend=False)
    assert abs(ax.get_rlabel_position() - 180.0) <= 25.0  # type: ignore[attr-defined]
    assert ax.get_title() == "from rank 1" and ax.get_legend() is None


@pytest.mark.parametrize("name", DRAWINGS)
def test_equal_drawings_give_equal_bytes(name: str) -> None:
    assert image.__wrapped__(name) == image(name)


def test_a_change_in_the_data_or_in_the_words_changes_the_bytes() -> None:
    def loss(ax: Any) -> None:
        plots.draw_loss(TIMES, LOSSES * 1.01, ax, plateaus=[(0, 8, 20.0), (15, 50)])

    assert plots.figure_svg(loss, alt="A drawing of loss.") != image("loss")
    assert plots.figure_svg(DRAWINGS["graph"], alt="Another.") != image("graph")


def test_bytes_do_not_depend_on_the_process_or_on_the_settings_of_the_user(tmp_path: Any) -> None:
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nlines.linewidth: 9\nsvg.fonttype: none\n")
    code = "import sys; sys.path[:0] = ['.', 'tests']; import test_plots as t; print(hash('x'), t.image('polar'))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"MATPLOTLIBRC": str(tmp_path), "PATH": "", "PYTHONHASHSEED": "7", "HOME": str(tmp_path)},
    )
    assert run.stdout.partition(" ")[2].rstrip("\n") == image("polar")


@pytest.mark.parametrize("name", DRAWINGS)
def test_an_image_is_self_contained_named_and_takes_the_ink_of_its_page(name: str) -> None:
    svg = image(name)
    root = ElementTree.fromstring(svg)
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None and title.text == f"A drawing of {name}."
    assert root.get("role") == "img" and root.get("aria-labelledby") == title.get("id")
    ids = [element.get("id") for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    links = [element.get("href", "")[1:] for element in root.iter() if "href" in element.attrib]
    assert links and set(links) <= set(ids)
    assert svg.count("http") == 1  # the namespace
    assert "currentColor" in svg
    for forbidden in (plots.INK, "<style", "<metadata", "<!--", "<!DOCTYPE", "<text"):
        assert forbidden not in svg


def test_ids_of_different_images_differ_and_a_scope_separates_equal_ones() -> None:
    def ids(svg: str) -> set[str | None]:
        return {element.get("id") for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib}

    first, second = image("loss"), image("gradient")
    assert not ids(first) & ids(second)
    assert ids(first) & ids(image.__wrapped__("loss"))  # the check itself: unscoped copies do collide
    scoped = plots.scoped_svg(first, "copy")
    assert not ids(first) & ids(scoped)
    links = {element.get("href", "#")[1:] for element in ElementTree.fromstring(scoped).iter()} - {""}
    assert links and links <= ids(scoped)


def test_many_panels_share_one_image() -> None:
    def draw(axes: Any) -> None:
        assert axes.shape == (1, 2)
        for ax in axes.flat:
            DRAWINGS["loss"](ax)

    assert 'viewBox="0 0 720 216"' in plots.figure_svg(draw, alt="Two.", panels=(1, 2), figsize=(10, 3))


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    image("loss")
    assert dict(matplotlib.rcParams) == before


def test_every_colour_stands_out_on_light_and_on_dark_paper() -> None:
    for color in plots.PALETTE:
        assert min(contrast(color, "#ffffff"), contrast(color, "#1b1f25")) >= 3, color
    assert contrast("#f0e442", "#ffffff") < 3  # the check itself: yellow fails


def test_importing_the_plots_does_not_load_matplotlib() -> None:
    code = "import sys, gflow.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("scale", ["auto", "linear", "log", "symlog"])
@pytest.mark.parametrize("values", [np.zeros(40), np.full(40, np.nan), LOSSES - LOSSES[-1]])
def test_zeros_and_gaps_are_drawn_without_warnings(values: np.ndarray, scale: str) -> None:
    plots.figure_svg(lambda ax: plots.draw_loss(TIMES, values, ax, time_scale=scale), alt="Zeros.")


def test_time_is_logarithmic_only_when_most_happens_early() -> None:
    early = plots.draw_loss(np.geomspace(1e-3, 1e6, 40), LOSSES, Figure().subplots())
    assert early.get_xscale() == "log"
    assert plots.draw_loss(TIMES, LOSSES, Figure().subplots()).get_xscale() == "linear"


def test_single_points_single_rows_and_large_matrices_are_drawn() -> None:
    plots.figure_svg(lambda ax: plots.draw_singular_values([0.0], [[1.0]], ax), alt="One point.")
    plots.figure_svg(lambda ax: plots.draw_matrix([[1.0]], [["observed"]], ax), alt="One cell.")
    plots.figure_svg(lambda ax: plots.draw_convergence([], ax), alt="Nothing.")
    big = plots.draw_matrix(np.ones((20, 20)), np.full((20, 20), "observed"), Figure().subplots())
    assert not big.texts
    plots.figure_svg(lambda ax: plots.draw_observation_graph([(0, 29)], ax, shape=(1, 30)), alt="A row.")


def test_bad_input_is_named() -> None:
    ax = Figure().subplots()
    with pytest.raises(ValueError, match="alt must say"):
        plots.figure_svg(DRAWINGS["loss"], alt=" ")
    with pytest.raises(ValueError, match="time_scale must be"):
        plots.draw_loss(TIMES, LOSSES, ax, time_scale="cubic")
    with pytest.raises(ValueError, match="statuses must have the shape"):
        plots.draw_matrix(np.ones((2, 2)), [["observed"]], ax)
    with pytest.raises(ValueError, match="not a valid EntryStatus"):
        plots.draw_matrix([[1.0]], [["guessed"]], ax)
    with pytest.raises(ValueError, match=r"rows must be \(T, d1, 2\)"):
        plots.draw_polar(np.ones((4, 2, 3)), np.ones((4, 3, 2)), ax)


def test_powers_of_ten_are_plain_text_that_says_the_same() -> None:
    from matplotlib.figure import Figure

    from gflow.plots.powers import PlainPowers, write_plainly

    (ax, near) = Figure().subplots(1, 2)
    ax.loglog([1e-3, 1e4], [1e-12, 1.0])
    near.semilogy([1, 2], [2.0, 5.0])
    write_plainly((ax, near))
    labels = ax.yaxis.get_major_formatter().format_ticks([1e-12, 1e-3, 1.0])
    assert isinstance(ax.xaxis.get_major_formatter(), PlainPowers) and labels == ["10⁻¹²", "10⁻³", "10⁰"]
    assert "3 × 10⁰" in near.yaxis.get_minor_formatter().format_ticks(near.yaxis.get_minorticklocs())


def test_a_drawing_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[Any] = []
    draw = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda self, renderer: draws.append(draw(self, renderer)))
    drawing = plots.Drawing.of(DRAWINGS["loss"], alt="a loss")
    for count, kind in enumerate(("svg", "pdf", "png"), 1):
        drawing.rendered(kind)
        assert len(draws) == count


def test_a_formula_is_parsed_once_for_the_layout_and_the_files_of_all_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib._mathtext import Parser

    parsed: list[str] = []
    parse = Parser.parse

    def parsing(self: Parser, text: str, *rest: Any) -> Any:
        parsed.append(text)
        return parse(self, text, *rest)

    monkeypatch.setattr(Parser, "parse", parsing)
    titles = "$\\omega_{71}$", "plain"  # a formula of no other test
    for draw in [partial(Axes.set, title=title, xlabel="$\\zeta^{72}$") for title in titles]:
        plots.figure_svg(draw, alt="formulas")
    ours = [text for text in parsed if "7" in text]
    assert sorted(ours) == ["$\\omega_{71}$", "$\\zeta^{72}$"]
