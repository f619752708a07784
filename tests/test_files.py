"""Partial matrices survive every format bit for bit, and a bad file says where it is bad."""

import io
import os
import pickle
import stat
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings, strategies as st

from gflow.files import (
    arrays,
    atomic_write,
    read_arrays,
    read_matrix,
    read_point,
    read_sensing,
    text,
    write_arrays,
    write_matrix,
    write_sensing,
)
from gflow.problems import MatrixCompletion, MatrixSensing, power_of_four

SUFFIXES = (".csv", ".tsv", ".txt", ".npy", ".npz", ".mtx")
NAN = np.nan
FIGURE_3 = np.array([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, NAN], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
HEAD = b"%%MatrixMarket matrix "


def same_bits(one: MatrixCompletion, other: MatrixCompletion) -> bool:
    return (
        one.shape == other.shape
        and np.array_equal(one.observed, other.observed)
        and np.array_equal(one.targets.view(np.int64), other.targets.view(np.int64))
    )


def stored(folder: Path, content: bytes | str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


@st.composite
def problems(draw: st.DrawFn) -> MatrixCompletion:
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    count = shape[0] * shape[1]
    entry = st.one_of(
        st.floats(-1e150, 1e150), st.sampled_from((0.0, -0.0, 5e-324, -2.2e-308, 0.1, 1 / 3, 1e16 + 2, 2.0**53))
    )
    values = np.array(draw(st.lists(entry, min_size=count, max_size=count))).reshape(shape)
    observed = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count))).reshape(shape)
    observed[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    if 0 < np.abs(values[observed]).max() < 1e-150:
        values[observed] = 1.0
    largest = float(np.abs(values[observed]).max())
    return MatrixCompletion(np.where(values / power_of_four(largest), values, np.copysign(0.0, values)), observed)


@pytest.mark.parametrize(
    ("content", "matrix"),
    [
        ("1,2\n3,*\n", [[1, 2], [3, NAN]]),
        ("1\t2\n3\t?\n", [[1, 2], [3, NAN]]),
        ("1;2\n3;NA", [[1, 2], [3, NAN]]),
        ("  1 2\n3    nAn \n", [[1, 2], [3, NAN]]),
        ("1 , +2.\n -.5e-3, na", [[1, 2], [-0.0005, NAN]]),
        ("1,,3\n,2,\n", [[1, NAN, 3], [NAN, 2, NAN]]),
        ("1\t\n\t\n", [[1, NAN], [NAN, NAN]]),
        ("1,2\n*,*\n", [[1, 2], [NAN, NAN]]),
        ("\ufeff# title, with a comma; and more\n1 2\n  # between\n3 4\n\n \n", [[1, 2], [3, 4]]),
        ("1,2\r\n3,4\r\n\r\n", [[1, 2], [3, 4]]),
        ("1,2\r3,4", [[1, 2], [3, 4]]),
        ("1\n\n*\n3\n", [[1], [NAN], [3]]),
        ("7", [[7]]),
        ("1,2\n3,4\n\t\n", [[1, 2], [3, 4]]),
        ("9007199254740993,1E2", [[2.0**53, 100]]),
    ],
)
def test_text_means_what_the_rules_say(tmp_path, content, matrix):
    assert read_matrix(stored(tmp_path, content)) == MatrixCompletion(np.array(matrix, dtype=float))


@pytest.mark.parametrize("layout", [np.asarray, scipy.sparse.coo_array])
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
def test_matrix_market_files_of_scipy_are_read_as_scipy_meant_them(tmp_path, layout, symmetry):
    full = np.random.default_rng(1).standard_normal((4, 4))
    matrix = {"general": full[:, :3], "symmetric": full + full.T, "skew-symmetric": full - full.T}[symmetry]
    path = tmp_path / "m.mtx"
    scipy.io.mmwrite(path, layout(matrix), symmetry=symmetry, precision=17)
    problem = read_matrix(path)
    assert np.array_equal(problem.values, matrix)
    unseen = symmetry == "skew-symmetric" and layout is not np.asarray
    assert np.array_equal(problem.observed, ~np.eye(4, dtype=bool) if unseen else np.ones(matrix.shape, dtype=bool))


def test_stored_zeros_of_a_matrix_market_file_are_observed(tmp_path):
    path = stored(tmp_path, HEAD + b"coordinate integer general\r\n% note\n\n2 2 2\n1 1 0\n2 1 -3\n", "m.MTX")
    assert read_matrix(path) == MatrixCompletion([[0, NAN], [-3, NAN]])


def test_other_programs_read_what_is_written(tmp_path):
    problem = MatrixCompletion(FIGURE_3)
    for suffix in SUFFIXES:
        write_matrix(problem, tmp_path / f"m{suffix}")
    assert np.array_equal(np.load(tmp_path / "m.npy"), FIGURE_3, equal_nan=True)
    with np.load(tmp_path / "m.npz") as arrays:
        assert np.array_equal(arrays["values"], problem.values)
        assert np.array_equal(arrays["observed"], problem.observed)
    for suffix, separator in ((".csv", ","), (".tsv", "\t"), (".txt", None)):
        plain = np.genfromtxt(tmp_path / f"m{suffix}", delimiter=separator, missing_values="*")
        assert np.array_equal(plain, FIGURE_3, equal_nan=True)
    assert np.array_equal(scipy.io.mmread(tmp_path / "m.mtx", spmatrix=False).toarray(), problem.values)
    assert (tmp_path / "m.csv").read_text().splitlines()[1] == "6.0,0.9,2.7,*"


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, ">f8", np.longdouble])
def test_every_real_dtype_is_read(tmp_path, dtype):
    matrix = np.asfortranarray([[1, 0, 1], [0, 1, 1]], dtype=dtype)
    assert read_matrix(stored(tmp_path, npy(matrix), "m.npy")) == MatrixCompletion(matrix.astype(float))


def test_the_mask_of_an_archive_hides_whatever_is_below_it(tmp_path):
    values, observed = np.array([[1.0, np.inf], [NAN, 4.0]]), np.array([[1, 0], [0, 1]])
    np.savez_compressed(tmp_path / "m.npz", values=values, observed=observed)
    assert read_matrix(tmp_path / "m.npz") == MatrixCompletion([[1, NAN], [NAN, 4]])
    np.savez(tmp_path / "gaps.npz", values=FIGURE_3)
    assert read_matrix(tmp_path / "gaps.npz") == MatrixCompletion(FIGURE_3)


@pytest.mark.parametrize("wrap", [lambda b: io.TextIOWrapper(io.BytesIO(b)), lambda b: io.StringIO(b.decode())])
def test_a_dash_reads_text_from_standard_input(monkeypatch, wrap):
    monkeypatch.setattr(sys, "stdin", wrap(b"1 2\n3 *\n"))
    assert read_matrix("-") == MatrixCompletion([[1, 2], [3, NAN]])
    monkeypatch.setattr(sys, "stdin", wrap(b"1 2\n3 x\n"))
    with pytest.raises(ValueError, match=r"standard input: row 2, column 2 \(line 2\) holds 'x'"):
        read_matrix("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="closed"):
        read_matrix("-")


@pytest.mark.parametrize("cell", ["0e-999", "0.00", "-0.0e5", "5e-324", "4.9e-324"])
def test_zeros_and_the_least_doubles_are_read_as_they_are_written(tmp_path, cell):
    for content, name in (
        (f"1,{cell}\n", "m.csv"),
        (HEAD.decode() + f"coordinate real general\n1 2 2\n1 1 1\n1 2 {cell}\n", "m.mtx"),
    ):
        assert same_bits(read_matrix(stored(tmp_path, content.encode(), name)), MatrixCompletion([[1, float(cell)]]))


def test_an_archive_that_expands_too_far_is_refused_before_it_is_expanded(tmp_path, monkeypatch):
    path = stored(tmp_path, npz(values=npy(np.ones((50, 50)))), "m.npz")
    assert read_matrix(path).n_observed == 2500
    monkeypatch.setattr(arrays, "LARGEST_CONTENT", 20_000)
    with monkeypatch.context() as unread:
        unread.setattr(zipfile.ZipFile, "read", None)
        with pytest.raises(ValueError, match=r"m\.npz is not a readable .* bytes expand to 20128, and at most 20000"):
            read_matrix(path)
    write_arrays(tmp_path / "stored.npz", values=np.ones((50, 50)))
    assert read_matrix(tmp_path / "stored.npz").n_observed == 2500


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems())
def test_writing_and_reading_return_the_same_bits(tmp_path, suffix, problem):
    path = tmp_path / f"m{suffix}"
    write_matrix(problem, path)
    assert same_bits(read_matrix(path), problem)
    first = path.read_bytes()
    write_matrix(read_matrix(path), path)
    assert path.read_bytes() == first


def test_the_round_trip_check_notices_rounding_and_lost_signs(tmp_path, monkeypatch):
    problem = MatrixCompletion([[0.1 + 0.2, NAN], [-0.0, 1.0]])
    monkeypatch.setattr(text, "content", lambda problem, separator: "0.3,*\n-0.0,1.0\n")
    write_matrix(problem, tmp_path / "m.csv")
    assert not same_bits(read_matrix(tmp_path / "m.csv"), problem)
    positive = MatrixCompletion([[0.1 + 0.2, NAN], [0.0, 1.0]])
    assert positive == problem
    assert not same_bits(positive, problem)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n# only a comment\n", "is empty"),
        ("\t\t\n", "is empty"),
        ("*,?\nNA,nan\n", "no entry of the 2 x 2 matrix is observed"),
        ("# note\n1,2\n3,4,5\n", r"row 2 \(line 3\) has 3 cells; expected 2, as in row 1"),
        ("1 2\n3\n", r"row 2 \(line 2\) has 1 cells; expected 2"),
        ("1,2\n\n3,abc\n", r"row 2, column 2 \(line 3\) holds 'abc', which is not a number"),
        ("x1,2\n1,2\n", r"row 1, column 1 \(line 1\) holds 'x1', which is not a number \(if .*--header yes\)"),
        ("1,5;2.5\n", r"line 1 holds '1,5', and another cell '2\.5': write all decimals with a point"),
        ("1,2\n3,-inf\n", "row 2, column 2 .* holds '-inf', which is infinite"),
        ("1,Infinity\n", "column 2 .* holds 'Infinity', which is infinite"),
        ("1,1e999\n", "holds '1e999', which is too large for a double"),
        ("1+2j,1\n", r"row 1, column 1 .* holds '1\+2j', which is complex"),
        ("1,(2-3i)\n", r"holds '\(2-3i\)', which is complex"),
        ("1,j\n", "holds 'j', which is not a number"),
        ("1_000,1\n", "holds '1_000', which is not a number"),
        ("0x10,1\n", "holds '0x10', which is not a number"),
        ("١,1\n", "which is not a number"),
        ("1,1.2.3\n", "holds '1.2.3'"),
        ("1,2\n1,1_000\n", r"row 2, column 2 \(line 2\) holds '1_000', which is not a number"),
        ("1,nan(1)\n", r"holds 'nan\(1\)', which is not a number"),
        ("1,\n3,1e-400\n", r"row 2, column 2 \(line 2\) holds '1e-400', which is too small .* write 0"),
        ("1,-2e-324\n", r"row 1, column 2 \(line 1\) holds '-2e-324', which is too small"),
        ("1," + "9" * 5000 + "x\n", r"holds '9{37}\.\.\.', which is not a number"),
        ("1,1e200\n", "must lie in"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "is not a readable gzip file"),
        ("1,2\n".encode("utf-16"), "is not UTF-8 text"),
        (npy(np.ones((2, 2))), "is not UTF-8 text"),
    ],
)
def test_bad_text_is_refused_with_its_place(tmp_path, content, message):
    path = stored(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_matrix(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.npy", b"", "not a plain NumPy array"),
        ("m.npy", b"1,2\n", "not a plain NumPy array"),
        ("m.npy", npy(np.ones((2, 2)))[:-3], "EOF"),
        ("m.npy", npy(np.ones((2, 2)))[:20], "not a plain NumPy array"),
        ("m.npy", npy(np.ones((2, 2))).replace(b"(2, 2)", b"(2 2, "), "not a plain NumPy array"),
        ("m.npy", npy(np.ones(3)), r"2 dimensions.*\(3,\)"),
        ("m.npy", npy(np.ones((2, 2, 2))), r"2 dimensions.*\(2, 2, 2\)"),
        ("m.npy", npy(np.array(1.0)), "2 dimensions"),
        ("m.npy", npy(np.ones((2, 2)) * 1j), "real numbers; got dtype complex128"),
        ("m.npy", npy(np.array([["1", "2"]])), "real numbers; got dtype <U1"),
        ("m.npy", npy(np.zeros((1, 1), dtype="M8[s]")), "real numbers"),
        ("m.npy", npy(np.zeros((1, 1), dtype=[("x", float)])), "real numbers"),
        ("m.npy", npy(np.array([[1.0, 2], [-np.inf, 1]])), "row 2, column 1 holds -inf"),
        ("m.npy", npy(np.array([[np.longdouble("1e999")]])), "row 1, column 1 holds inf"),
        ("m.npy", npy(np.array([[1.0, np.longdouble("-1e-400")]])), "row 1, column 2 holds -1e-400.* too small"),
        ("m.npy", npy(np.array([[1e150, 1e-200]])), "row 1, column 2 holds 1e-200.* write 0, or leave"),
        ("m.npy", npy(np.full((2, 3), NAN)), "no entry of the 2 x 3 matrix is observed"),
        ("m.npy", npy(np.zeros((0, 3))), "no entry of the 0 x 3 matrix is observed"),
        ("m.npy", npy(np.array([[None, 1.0]]), allow_pickle=True), "refused unread.*allow_pickle=False"),
        ("m.npz", b"", "not a readable .npz archive"),
        ("m.npz", npz(values=npy(np.ones((2, 2))))[:-30], "not a readable .npz archive"),
        ("m.npz", npz(other=npy(np.ones((2, 2)))), "must hold an array named 'values'; it holds other"),
        ("m.npz", npz(), "it holds none"),
        ("m.npz", npz(values=b"1,2"), "array 'values' is not a plain NumPy array"),
        (
            "m.npz",
            npz(values=npy(np.ones((2, 2))), observed=npy(np.ones((2, 3), bool))),
            r"observed must have the shape",
        ),
        ("m.npz", npz(values=npy(np.ones((2, 2))), observed=npy(np.full((2, 2), 2))), "only True and False"),
        ("m.npz", npz(values=npy(np.array([[1, NAN]])), observed=npy(np.ones((1, 2)))), "row 1, column 2 holds nan"),
    ],
    ids=lambda given: f"{len(given)} bytes" if isinstance(given, bytes) else None,  # they hold times and padding
)
def test_bad_numpy_files_are_refused(tmp_path, name, content, message):
    path = stored(tmp_path, content, name)
    with pytest.raises(ValueError, match=message) as caught:
        read_matrix(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 must read"),
        (b"1,2\n", "line 1 must read"),
        (HEAD + b"coordinate real\n", "line 1 must read"),
        (HEAD + b"array pattern general\n2 2\n1\n1\n1\n1\n", "a pattern holds no values: it cannot be array"),
        (HEAD + b"coordinate complex general\n1 1 1\n1 1 1 0\n", "the field must be one of .*got 'complex'"),
        (HEAD + b"coordinate real hermitian\n1 1 1\n1 1 1\n", "the symmetry must be one of .*got 'hermitian'"),
        (HEAD + b"elements real general\n1 1 1\n1 1 1\n", "the format must be one of"),
        (HEAD + b"coordinate real general\n", "line 2 must give the size"),
        (HEAD + b"coordinate real general\n%\n2 x 1\n1 1 1\n", "line 3 must give the size as integers; got '2 x 1'"),
        (HEAD + b"coordinate real general\n2 2\n1 1 1\n", "line 2 must give the size"),
        (HEAD + b"coordinate real general\n2 2 2\n1 1 1\n", "line 2 asks for 2 entries; 1 follow"),
        (HEAD + b"coordinate real general\n2 2 1\n1 1 1\n2 2 2\n", "line 2 asks for 1 entries; 2 follow"),
        (
            HEAD + b"coordinate real general\n2 2 3\n1 1 1\n% c\n2 1 2\n1 1 3\n",
            r"line 6 repeats the entry \(1, 1\) of line 3",
        ),
        (HEAD + b"coordinate real symmetric\n2 2 2\n2 1 1\n1 2 3\n", r"line 4 repeats the entry \(1, 2\) of line 3"),
        (HEAD + b"coordinate real general\n2 3 1\n3 1 1\n", r"line 3: the row must lie in 1\.\.2; got '3'"),
        (HEAD + b"coordinate real general\n2 3 1\n1 0 1\n", r"line 3: the column must lie in 1\.\.3; got '0'"),
        (HEAD + b"coordinate real general\n2 3 1\n-1 1 1\n", "line 3: the row must lie in"),
        (HEAD + b"coordinate real general\n2 3 1\n1 1\n", "line 3 must hold row, column and value; got '1 1'"),
        (HEAD + b"coordinate real general\n2 3 1\n1 2 nan\n", r"row 1, column 2 \(line 3\) holds 'nan'"),
        (
            HEAD + b"coordinate real general\n2 3 1\n1 2 inf\n",
            r"row 1, column 2 \(line 3\) holds 'inf', which is infinite",
        ),
        (HEAD + b"coordinate real general\n1 2 1\n1 2 1e-400\n", r"row 1, column 2 \(line 3\) holds '1e-400'.* small"),
        (HEAD + b"array real general\n1 1\n1e-400\n", r"row 1, column 1 \(line 3\) holds '1e-400', .* small"),
        (HEAD + b"coordinate real general\n2 3 0\n", "no entry of the 2 x 3 matrix is observed"),
        (HEAD + b"coordinate real symmetric\n2 3 1\n1 1 1\n", "a symmetric matrix must be square; got 2 x 3"),
        (HEAD + b"coordinate real skew-symmetric\n2 2 1\n2 2 1\n", r"line 3 stores \(2, 2\), which is zero"),
        (HEAD + b"coordinate real general\n100000000 2 1\n1 1 1\n", "at most 10000000 rows or columns"),
        (HEAD + b"array real general\n100000 100000\n1\n", "at most 100000000 cells"),
        (HEAD + b"array real general\n2 2\n1\n2\n3\n", "asks for 4 entries; 3 follow"),
        (HEAD + b"array real general\n1 2\n1\n2 3\n", "line 4 must hold one value; got '2 3'"),
        (HEAD + b"array real general\n2 2\n1\n2\nx\n4\n", r"row 1, column 2 \(line 5\) holds 'x'"),
        (HEAD + b"array real general\n1 1\n\xff\n", "is not UTF-8 text"),
    ],
)
def test_bad_matrix_market_files_are_refused_with_the_line(tmp_path, content, message):
    path = stored(tmp_path, content, "m.mtx")
    with pytest.raises(ValueError, match=message) as caught:
        read_matrix(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_matrix(tmp_path / "none.csv")
    (tmp_path / "folder.npz").mkdir()
    for read in (read_matrix, read_arrays, read_point, read_sensing):
        with pytest.raises(IsADirectoryError, match=r"folder\.npz"):
            read(tmp_path / "folder.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, suffix, data):
    path = tmp_path / f"m{suffix}"
    write_matrix(MatrixCompletion(FIGURE_3), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        assert isinstance(read_matrix(path), MatrixCompletion)
    except ValueError as error:
        assert str(error).startswith(str(path))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=60), st.text("0123456789.,;\t \r\n*#ejnaf+-", max_size=40).map(str.encode)))
def test_any_text_is_read_or_refused_and_nothing_else(tmp_path, content):
    for name in ("m.csv", "m.npy", "m.npz", "m.mtx"):
        try:
            read_matrix(stored(tmp_path, content, name))
        except ValueError as error:
            assert str(error).startswith(str(tmp_path / name))


class Trap:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_reading_never_unpickles(tmp_path):
    sprung = tmp_path / "sprung"
    boxed, bare = npy(np.array([[Trap(sprung)]], dtype=object), allow_pickle=True), pickle.dumps(Trap(sprung))
    for k, content in enumerate((boxed, bare)):
        for name in ("m.npy", "m.csv", "m.mtx", "m.npz"):
            with pytest.raises(ValueError):
                read_matrix(stored(tmp_path, content, name))
        for member in ("values", "observed", "A", "measurements", "normalization", "extra"):
            plain = {"values": npy(np.ones((1, 1))), "A": npy(np.ones((1, 1))), "B": npy(np.ones((1, 1)))}
            path = stored(tmp_path, npz(**plain | {member: content}), f"m{k}.npz")
            for read in (read_matrix, read_arrays, read_point, read_sensing):
                with pytest.raises(ValueError, match=r"refused unread, allow_pickle=False"):
                    read(path)
    assert not sprung.exists()
    np.load(io.BytesIO(boxed), allow_pickle=True)
    assert sprung.exists(), "the trap must be armed, or the test proves nothing"


@pytest.mark.parametrize("fault", ["write", "replace", "interrupt"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch, fault):
    path = stored(tmp_path, "old")

    def fail(*_):
        raise KeyboardInterrupt if fault == "interrupt" else OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace" if fault == "replace" else "fsync", fail)
    expected, message = (KeyboardInterrupt, None) if fault == "interrupt" else (OSError, r"m\.csv")
    with pytest.raises(expected, match=message):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["m.csv"]


def test_a_file_is_replaced_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "report.html"
    atomic_write(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    plain = stored(tmp_path, "", "plain")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    plain.unlink()
    atomic_write(str(path), b"\r\n")
    assert path.read_bytes() == b"\r\n"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_link_is_followed_and_a_device_survives(tmp_path):
    target, link = stored(tmp_path, "old", "target"), tmp_path / "link"
    link.symlink_to(target)
    atomic_write(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        atomic_write(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/m\.csv"):
        atomic_write(tmp_path / "none" / "m.csv", "x")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        atomic_write(tmp_path, "x")
    with pytest.raises(NotADirectoryError, match=r"file/m\.csv"):
        atomic_write(stored(tmp_path, "", "file") / "m.csv", "x")
    with pytest.raises(ValueError, match=r"must end in one of \.csv, .*got '\.xlsx'"):
        write_matrix(MatrixCompletion(FIGURE_3), tmp_path / "m.xlsx")


def test_equal_arrays_give_equal_bytes_whatever_the_clock_and_the_memory_layout(tmp_path, monkeypatch):
    matrix = np.arange(6.0).reshape(2, 3)
    write_arrays(tmp_path / "one.npz", a=matrix, path=np.array(3), text=np.array(["x"]))
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_arrays(tmp_path / "two.npz", text=np.array(["x"]), path=3, a=np.asfortranarray(matrix))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    arrays = read_arrays(tmp_path / "two.npz")
    assert {name: (array.shape, array.tolist()) for name, array in arrays.items()} == {
        "a": ((2, 3), matrix.tolist()),
        "path": ((), 3),
        "text": ((1,), ["x"]),
    }
    write_arrays(tmp_path / "two.npz", a=matrix + 1, path=3, text=np.array(["x"]))
    assert (tmp_path / "one.npz").read_bytes() != (tmp_path / "two.npz").read_bytes()


def test_objects_are_not_written(tmp_path):
    for array in (np.array([None]), np.zeros(1, dtype=[("x", object)])):
        with pytest.raises(ValueError, match="array 'bad' must not hold objects"):
            write_arrays(tmp_path / "m.npz", good=1.0, bad=array)
    assert not os.listdir(tmp_path)


def test_a_point_is_its_two_factors(tmp_path):
    A, B = np.arange(6).reshape(3, 2), np.arange(8.0).reshape(2, 4)
    write_arrays(tmp_path / "p.npz", A=A, B=B, note=np.array("kept apart"))
    read_A, read_B = read_point(tmp_path / "p.npz")
    assert read_A.dtype == read_B.dtype == float
    assert np.array_equal(read_A, A) and np.array_equal(read_B, B)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"A": np.ones((2, 2))}, "must hold an array named 'B'; it holds A"),
        ({"A": np.ones((2, 2)), "B": np.ones(2)}, r"B must be a real matrix; got dtype float64 and shape \(2,\)"),
        ({"A": np.ones((2, 2)) * 1j, "B": np.ones((2, 2))}, "A must be a real matrix; got dtype complex128"),
        ({"A": np.ones((0, 2)), "B": np.ones((2, 2))}, "A must be a real matrix"),
        ({"A": np.ones((2, 2)), "B": np.array([[1, 2], [NAN, 3]])}, "B must be finite; row 2, column 1 holds nan"),
        ({"A": np.ones((4, 3)), "B": np.ones((2, 5))}, r"A is \(4, 3\) and B is \(2, 5\)"),
    ],
)
def test_a_bad_point_names_its_array(tmp_path, arrays, message):
    write_arrays(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        read_point(tmp_path / "p.npz")
    assert str(caught.value).startswith(str(tmp_path / "p.npz"))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_measurements_survive_bit_for_bit(tmp_path, data):
    count, d1, d2 = (data.draw(st.integers(1, 3)) for _ in range(3))
    entry = st.one_of(st.floats(-1e70, 1e70, allow_subnormal=False), st.sampled_from((0.0, -0.0, 0.1, 1 / 3)))
    A = np.array(data.draw(st.lists(entry, min_size=count * d1 * d2, max_size=count * d1 * d2))).reshape(count, d1, d2)
    y = np.array(data.draw(st.lists(entry, min_size=count, max_size=count)))
    A[0, 0, 0], y[0] = 1.0, 1.0
    problem = MatrixSensing(A, y, normalization=data.draw(st.sampled_from(("mean", "sum"))))
    write_sensing(problem, tmp_path / "s.npz")
    read = read_sensing(tmp_path / "s.npz")
    assert read.normalization == problem.normalization and read.shape == (d1, d2)
    assert np.array_equal(read.measurements.view(np.int64), A.view(np.int64))
    assert np.array_equal(read.targets.view(np.int64), y.view(np.int64))


def test_measurements_of_other_programs_and_sparse_ones_are_read(tmp_path):
    A, y = np.arange(12).reshape(3, 2, 2), np.array([True, False, True])
    np.savez(tmp_path / "s.npz", measurements=A, values=y, note="kept apart")
    problem = read_sensing(tmp_path / "s.npz")
    assert problem.normalization == "mean" and problem.measurements.dtype == problem.targets.dtype == float
    assert np.array_equal(problem.measurements, A) and problem.targets.tolist() == [1, 0, 1]
    masked = MatrixSensing.of_completion(MatrixCompletion([[1, NAN], [3, 4]]))
    write_sensing(masked, tmp_path / "sparse.npz")
    assert np.array_equal(read_sensing(tmp_path / "sparse.npz").measurements, masked.measurements)
    with pytest.raises(ValueError, match=r"must end in \.npz; got '\.npy'"):
        write_sensing(masked, tmp_path / "s.npy")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"values": np.ones(2)}, "must hold an array named 'measurements'; it holds values"),
        ({"measurements": np.ones((2, 2, 2))}, "must hold an array named 'values'; it holds measurements"),
        ({"measurements": np.ones((2, 4)), "values": np.ones(2)}, r"must have shape \(m, d1, d2\); got \(2, 4\)"),
        ({"measurements": np.ones((0, 2, 2)), "values": np.ones(0)}, "at least one measurement"),
        ({"measurements": np.ones((2, 2, 2)), "values": np.ones(3)}, r"values must have shape \(2,\)"),
        ({"measurements": np.ones((1, 2, 2)) * 1j, "values": np.ones(1)}, "real numbers; got dtype complex128"),
        ({"measurements": np.ones((1, 2, 2)), "values": np.array(["1"])}, "values must be an array of real numbers"),
        ({"measurements": np.full((1, 2, 2), NAN), "values": np.ones(1)}, "number 1 holds nan in row 1, column 1"),
        ({"measurements": np.ones((1, 2, 2)), "values": np.array([np.inf])}, "values must be finite; number 1 is inf"),
        ({"measurements": np.full((1, 1, 1), np.longdouble("1e999")), "values": np.ones(1)}, "holds inf"),
        ({"measurements": np.ones((1, 2, 2)), "values": np.ones(1), "normalization": "max"}, "got 'max'"),
        ({"measurements": np.ones((1, 2, 2)), "values": np.ones(1), "normalization": 1.0}, "must be one text"),
    ],
)
def test_bad_measurements_name_the_file(tmp_path, arrays, message):
    write_arrays(tmp_path / "s.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        read_sensing(tmp_path / "s.npz")
    assert str(caught.value).startswith(str(tmp_path / "s.npz"))
    assert "\n" not in str(caught.value)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_measurements_are_read_or_refused_and_nothing_else(tmp_path, data):
    path = tmp_path / "s.npz"
    write_sensing(MatrixSensing(np.ones((2, 1, 2)), np.ones(2)), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        assert isinstance(read_sensing(path), MatrixSensing)
    except ValueError as error:
        assert str(error).startswith(str(path))
