"""Tables as people have them: read right with their names, or refused with the remedy, and no number is lost."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from gflow.files import read_matrix, source, write_matrix
from gflow.problems import MatrixCompletion
from gflow.problems.names import _printable

NAN = np.nan
QUIET = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def stored(folder: Path, content: bytes | str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def held(problem: MatrixCompletion) -> tuple[list[list[float | None]], object, object]:
    rows = [[None if np.isnan(x) else float(x) for x in row] for row in problem.with_gaps()]
    return rows, problem.row_names, problem.column_names


AWKWARD = {
    "a spreadsheet saved in Germany": (
        'Stadt;Höhe;Fläche\nOslo;1,5;-\n"Rio; Süd";;2,25\n',
        {},
        ([[1.5, None], [None, 2.25]], ("Oslo", "Rio; Süd"), ("Höhe", "Fläche")),
        ("first row read as column names", "first column read as row names", "commas read as decimal points"),
    ),
    "a data frame written with its default labels": (
        ",0,1,2\n0,1.5,,3\n1,4,5,6\n",
        {"header": True, "index": True},
        ([[1.5, None, 3.0], [4.0, 5.0, 6.0]], ("0", "1"), ("0", "1", "2")),
        (),
    ),
    "a table of R": (
        'a b\n"x ""1""" 1 NA\ny N/A 4\n',
        {},
        ([[1.0, None], [None, 4.0]], ('x "1"', "y"), ("a", "b")),
        ("first row read as column names", "first column read as row names"),
    ),
    "years in quotes, as R writes them": (
        '"","2019","2020"\n"1",3.5,null\n"2",?,2\n',
        {},
        ([[3.5, None], [None, 2.0]], ("1", "2"), ("2019", "2020")),
        ("first row read as column names", "first column read as row names"),
    ),
    "ratings of MovieLens": (
        "1::1193::5::978300760\n10::661::3::978302109\n2::1193::4::9783\n",
        {"triplets": True},
        ([[None, 5.0], [None, 4.0], [3.0, None]], ("1", "2", "10"), ("661", "1193")),
        ("columns after the third left out",),
    ),
    "ratings with decimal commas": (
        "user;movie;rating\na;x;1,5\nb;y;4,25\n",
        {"triplets": True},
        ([[1.5, None], [None, 4.25]], ("a", "b"), ("x", "y")),
        ("first line read as a header", "commas read as decimal points"),
    ),
    "decimal commas in quotes between commas": (
        'a,"1,5",NA\nb,2,"2,25"\n',
        {},
        ([[1.5, None], [2.0, 2.25]], ("a", "b"), None),
        ("first column read as row names", "commas read as decimal points"),
    ),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_file_is_read_right_and_says_what_was_decided(tmp_path: Path, name: str) -> None:
    content, said, expected, notes = AWKWARD[name]
    problem = read_matrix(stored(tmp_path, content), **said)
    assert held(problem) == expected
    assert problem.notes == notes
    assert held(read_matrix(stored(tmp_path, gzip.compress(content.encode()), "m.csv.gz"), **said)) == expected


ROW, COLUMN = "say --header yes or --header no", "say --index yes or --index no"


@pytest.mark.parametrize(
    ("content", "remedies"),
    [
        (",0,1,2\n0,1.5,,3\n1,4,5,6\n", (ROW, COLUMN)),
        ("0,1,2\n1.5,,3\n4,5,6\n", (ROW,)),
        (",a,b\n0,1.5,2.5\n1,3.5,4.5\n", (COLUMN,)),
        (",a,b\n7.5,1.5,2.5\n1,3.5,4.5\n", (COLUMN,)),
        ("country,2019,2020\nNorway,1,2\nPeru,2,\n", (ROW,)),
        ("city,10,50,90\nOslo,1.5,2,3\nRome,2.5,1,2\n", (ROW,)),
        (",101,205\n3,1.5,\n17,4,5\n", (ROW, COLUMN)),
        ("id,a,b\n1,5,6\n2,7,8\n3,9,9\n", (COLUMN,)),
        ("user_id,a,b\n17,5,6\n4,7,8\n", (COLUMN,)),
        ("1.234,5;2\n3;4\n", ("row 1, column 1 (line 1) holds '1.234,5'", "marks of thousands: leave them out")),
        ('"1,234.5",2\n3,4\n', ("'1,234.5', which is a number with marks of thousands",)),
        ("a,b,a\n1,2,3\n", ("columns 1 and 3 are both named 'a': rename one",)),
        ("1990;2\n1991;3\n", (COLUMN,)),
        ("a b\n1 1.5 2\n2 3 NA\n", (COLUMN,)),
        ("date,a\n2020-01-01,3\n2020-02-01,4\n", ("--index yes",)),
        ("a,1\n1,2\n", ("--header yes",)),
        ("a;b\n1,500;2,250\n", ("--decimal comma",)),
        ("1::2::3\n1::3::4\n", ("--triplets",)),
        ("userId,movieId,rating\n1,31,2.5\n1,1029,3\n", ("--triplets", "--header yes")),
    ],
)
def test_what_may_be_a_name_or_a_number_is_asked_about(tmp_path: Path, content: str, remedies: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        read_matrix(stored(tmp_path, content))
    assert all(remedy in str(caught.value) for remedy in remedies), str(caught.value)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("content", "said", "rows"),
    [
        (",0,1\n0,1.5,2\n", {"header": False, "index": False}, [[None, 0, 1], [0, 1.5, 2]]),
        ("a b\n1 1.5 2\n2 3 NA\n", {"index": True}, [[1.5, 2], [3, None]]),
        ("date,a\n2020-01-01,3\n2020-02-01,4\n", {"index": True}, [[3], [4]]),
        ("a,1\n1,2\n", {"header": True}, [[1, 2]]),
        ("a;b\n1,500;2,250\n", {"decimal": ","}, [[1.5, 2.25]]),
        ("1,5 2,5\n", {"decimal": ","}, [[1.5, 2.5]]),
        ('"1,500",2\n', {"decimal": ","}, [[1.5, 2]]),
        ("sep=;\n1;2\n", {}, [[1, 2]]),
        ("1,2,3\n4,5,6\n7,8,9\n", {}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ('"1","2"\n"3","4"\n', {}, [[1, 2], [3, 4]]),
        ("ozone\n41\n36\n", {}, [[41], [36]]),
    ],
)
def test_the_caller_decides_and_what_is_certain_needs_no_word(tmp_path, content, said, rows) -> None:
    assert held(read_matrix(stored(tmp_path, content), **said))[0] == rows


CELLS = st.sampled_from([*"0123456789", "2019", "2020", "1.5", "-2.5", "0.25", "*", "", "NA"])


@QUIET
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), data=st.data())
def test_no_number_is_taken_for_a_name_without_a_word(tmp_path: Path, rows: int, columns: int, data) -> None:
    grid = [[data.draw(CELLS) for _ in range(columns)] for _ in range(rows)]
    expected = np.array([[NAN if cell in ("*", "", "NA") else float(cell) for cell in row] for row in grid])
    path = stored(tmp_path, "".join(",".join(row) + "\n" for row in grid))
    try:
        problem = read_matrix(path)
    except ValueError as error:
        asked = ROW in str(error) or COLUMN in str(error)
        assert asked or "is observed" in str(error) or "is empty" in str(error)
        problem = None
    if problem is not None and columns > 1:
        assert np.array_equal(problem.with_gaps(), expected, equal_nan=True)
        assert problem.row_names is problem.column_names is None and problem.notes == ()


NAMES = st.text(min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool)


@settings(QUIET, max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".npz"])
def test_names_survive_writing_and_reading(tmp_path: Path, suffix: str, data) -> None:
    shape = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    rows, columns = (data.draw(st.lists(NAMES, min_size=d, max_size=d)) for d in shape)
    rows, columns = ([name.encode("utf-8", "replace").decode() for name in names] for names in (rows, columns))
    values = np.array([[0.5, NAN, 3.0], [4.0, 5.0, NAN], [7.0, 8.0, -0.0]])[: shape[0], : shape[1]]
    assume(all(len(set(_printable(name) for name in names)) == len(names) for names in (rows, columns)))
    problem = MatrixCompletion(values, row_names=rows, column_names=columns)
    write_matrix(problem, tmp_path / f"m{suffix}")
    found = read_matrix(tmp_path / f"m{suffix}", **({} if suffix == ".npz" else {"header": True, "index": True}))
    assert found == problem
    assert (found.row_names, found.column_names) == (problem.row_names, problem.column_names)


def test_names_in_quotes_need_no_word(tmp_path: Path) -> None:
    problem = MatrixCompletion([[1, 2], [3, 4]], row_names=["1990", "1991"], column_names=["7", "x,y"])
    write_matrix(problem, tmp_path / "m.csv")
    found = read_matrix(tmp_path / "m.csv")
    assert (found.row_names, found.column_names) == (("1990", "1991"), ("7", "x,y"))


@pytest.mark.parametrize(
    ("content", "said", "message"),
    [
        ("u,v,1\nu,v,2\n", {}, r"line 2 repeats the entry \(u, v\) of line 1"),
        ("u,v,1\nu,w\n", {}, "line 2 must hold row, column and value; it has 2 cells"),
        ("u,v,1\nu,w,x\n", {}, "line 2: the value holds 'x', which is not a number"),
        ("u;v;1\nu;w;1.234,5\n", {}, "line 2: the value holds '1.234,5', which is a number with marks of thousands"),
        ("u;v;1,500\n", {}, "say --decimal comma"),
        ("rating,user,item\n5,1,2\n", {}, "write them as row, column, value"),
        (",user,item,rating\n0,1,2,3\n", {}, "write them as row, column, value"),
        ("user,item,rating\n", {}, "a header and no entry"),
    ],
)
def test_bad_triplets_are_refused_with_their_line(tmp_path: Path, content: str, said: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_matrix(stored(tmp_path, content), triplets=True, **said)


def test_a_gap_among_triplets_keeps_its_row(tmp_path: Path) -> None:
    path = stored(tmp_path, "user\titem\trating\nbo\tx\t1\nal\ty\tNA\n", "m.tsv")
    assert held(read_matrix(path, triplets=True)) == ([[1, None], [None, None]], ("bo", "al"), ("x", "y"))


def test_a_pattern_observes_ones(tmp_path: Path) -> None:
    content = "%%MatrixMarket matrix coordinate pattern symmetric\n2 2 2\n1 1\n2 1\n"
    assert held(read_matrix(stored(tmp_path, content, "m.mtx")))[0] == [[1, 1], [1, None]]


def test_what_expands_or_is_too_large_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch) -> None:
    path = stored(tmp_path, gzip.compress(b"1,2\n" * 50), "m.csv.gz")
    assert read_matrix(path).shape == (50, 2)
    monkeypatch.setattr(source, "LARGEST_EXPANDED", 150)
    with pytest.raises(ValueError, match=re.escape("expands to more than 150 bytes")):
        read_matrix(path)
    monkeypatch.setattr(source, "LARGEST_FILE", 10)
    with pytest.raises(ValueError, match="holds more than 10 bytes"):
        read_matrix(path)
    with pytest.raises(ValueError, match="not a readable gzip file"):
        monkeypatch.undo()
        read_matrix(stored(tmp_path, gzip.compress(b"1,2\n" * 50)[:-9], "m.csv.gz"))


def test_a_table_of_too_many_cells_is_refused_before_it_is_split(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gflow.files.text.LARGEST_TEXT", 5)
    with pytest.raises(ValueError, match="holds 6 cells, and at most 5 are read"):
        read_matrix(stored(tmp_path, "1,2,3\n4,5,6\n"))


def test_what_is_said_of_text_is_refused_of_other_files(tmp_path: Path) -> None:
    write_matrix(MatrixCompletion([[1, 2], [3, 4]]), tmp_path / "m.npy")
    with pytest.raises(
        ValueError, match=r"header, index and decimal say how text is read; a \.npy file says it itself"
    ):
        read_matrix(tmp_path / "m.npy", header=True)
