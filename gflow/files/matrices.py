"""Partial matrices and measurements from files of every format, and to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from gflow.files import arrays, market, source, tables, text
from gflow.files.atomic import PathLike, atomic_write
from gflow.files.content import Content, Layout
from gflow.files.triplets import matrix as entries
from gflow.problems import MatrixCompletion, MatrixSensing, as_completion


def read_matrix(
    path: PathLike,
    *,
    header: bool | None = None,
    index: bool | None = None,
    decimal: str | None = None,
    triplets: bool = False,
) -> MatrixCompletion:
    """Return the partially observed matrix held in a file; the format follows from the suffix.

    Parameters
    ----------
    path : path
        ``.npy``: a real matrix, NaN where not observed. ``.npz``: the array ``values`` and, optionally, the mask
        ``observed``, or a sparse array as ``scipy.sparse.save_npz`` writes it (csr, csc or coo; stored entries are the
        observed ones), and optionally ``row_names`` and ``column_names``. ``.mtx``: Matrix Market, real, integer or
        pattern (every stored entry is an observed one); stored entries are the observed ones, stored zeros are
        observed zeros, symmetric and skew-symmetric storage is expanded (the diagonal of skew-symmetric coordinates
        cannot be stored and is not observed), and ``array`` means that everything is observed. Any other name, and
        ``-`` for standard input: text. Each may be compressed by gzip.
    header, index : bool, optional
        Of text: whether the first row holds column names, and the first column row names. Default: where they cannot
        be numbers, or are all that stands in quotes. What is decided is told in ``notes`` of the problem.
    decimal : "." or ",", optional
        Of text: the mark of decimals. Default: the comma where it separates no cells and no cell has a point.
    triplets : bool
        Text of lines that hold row, column and value of one observed entry, in this order; further cells are left
        out, and ``::`` may separate them. Rows and columns are those that occur, with their labels as names.

    Text is UTF-8, one row per line. Blank lines (also those of a single column) and lines that begin with ``#`` are
    ignored. The separator is the first of tab, semicolon and comma that occurs outside quotes; without any, runs of
    blanks. ``*``, ``?``, ``-``, ``NA``, ``N/A``, ``nan``, ``null`` and ``none`` in any case and an empty cell mean "not
    observed", so a separator at the end of a row adds a cell, and a line of tabs in a file separated by tabs is a row
    without observations. Numbers are rounded to the nearest double; one that is not zero and would become zero is
    refused. A file may hold 2 GiB, and text 5e7 cells; an archive may expand to at most 1 GiB, or to its own size.

    Raises
    ------
    OSError
        If the file is missing or cannot be read, or is a directory.
    ValueError
        If the content breaks a rule above or one of ``MatrixCompletion``, or if numbers may be names (0, 1, 2, ... as
        data frames write them, or years) and the caller does not say; the message names the file and, for a cell, its
        row and column counted from 1.
    """
    name = "standard input" if os.fspath(path) == "-" else str(path)
    layout = Layout(header, index, decimal, triplets)
    reader: Callable[[bytes, str], Content]
    if triplets:
        reader = partial(entries, layout=layout)
    else:
        readers = {".npy": arrays.matrix_of_npy, ".npz": arrays.matrix_of_npz, ".mtx": market.matrix}
        suffix = "" if name != str(path) else source.suffix(path)
        if suffix in readers and layout != Layout():
            raise ValueError(f"{name}: header, index and decimal say how text is read; a {suffix} file says it itself")
        reader = readers.get(suffix, partial(tables.matrix, layout=layout))
    return _problem(reader(source.content(path), name), name)


def write_matrix(problem: MatrixCompletion, path: PathLike) -> None:
    """Write a partially observed matrix so that ``read_matrix`` returns the same bits; the suffix sets the format.

    Parameters
    ----------
    problem : MatrixCompletion
    path : path
        Ends in ``.npy``, ``.npz`` (sparse above a million entries), ``.mtx``, or, for text, in ``.csv``, ``.tsv`` or
        ``.txt`` (blanks). Text holds the shortest decimals that read back exactly, and ``*`` where nothing is observed.
        Text and ``.npz`` keep the names of rows and columns.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    OSError
        If the file cannot be written; what stood there before is kept.
    """
    writers: dict[str, Callable[[MatrixCompletion], bytes | str]] = {
        ".csv": partial(text.content, separator=","),
        ".tsv": partial(text.content, separator="\t"),
        ".txt": partial(text.content, separator=" "),
        ".npy": arrays.npy_content,
        ".npz": arrays.npz_content,
        ".mtx": market.content,
    }
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise ValueError(f"{path}: the name of a matrix file must end in one of {', '.join(writers)}; got {suffix!r}")
    atomic_write(path, writers[suffix](as_completion(problem)))


def read_sensing(path: PathLike) -> MatrixSensing:
    """Return the linear measurements held in an ``.npz`` file.

    Parameters
    ----------
    path : path
        Holds ``measurements``, shape (m, d1, d2), and ``values``, shape (m,), and optionally ``normalization``, the
        text 'mean' (as without it) or 'sum'. Other arrays are ignored.

    Raises
    ------
    OSError
        If the file is missing or cannot be read, or is a directory.
    ValueError
        If it is damaged, holds objects, lacks an array, or breaks a rule of ``MatrixSensing``; the message names the
        file.
    """
    name = str(path)
    measurements, values, normalization = arrays.sensing_of_npz(Path(path).read_bytes(), name)
    try:
        with np.errstate(over="ignore"):
            return MatrixSensing(measurements, values, normalization=normalization)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def write_sensing(problem: MatrixSensing, path: PathLike) -> None:
    """Write linear measurements so that ``read_sensing`` returns the same bits; sparse ones are stored dense.

    Parameters
    ----------
    problem : MatrixSensing
    path : path
        Ends in ``.npz``.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    OSError
        If the file cannot be written; what stood there before is kept.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".npz":
        raise ValueError(f"{path}: the name of a file of measurements must end in .npz; got {suffix!r}")
    arrays.write_arrays(
        path, measurements=problem.measurements, values=problem.targets, normalization=problem.normalization
    )


def _problem(found: Content, name: str) -> MatrixCompletion:
    values, observed, row_names, column_names, notes = found
    try:
        with np.errstate(over="ignore"):
            problem = MatrixCompletion(values, observed, row_names=row_names, column_names=column_names)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    problem.notes = notes
    return problem
