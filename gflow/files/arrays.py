"""NumPy files without pickle: matrices, named arrays and factor pairs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gflow.files.atomic import PathLike, atomic_write
from gflow.files.content import Content
from gflow.problems import MatrixCompletion

DENSE_FILE = 10**6
"""Matrices of more entries are stored sparse."""
LARGEST_CONTENT = 2**30
"""Bytes to which a smaller archive may expand: 10^8 entries, the largest dense matrix of any format, and their mask."""
LARGEST_SIDE = 10**7
"""Largest number of rows or columns, of which a sparse array in a file may declare any number."""
_NAMES = ("row_names", "column_names")


def read_point(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors (A, B), shapes (d1, r) and (r, d2), held in an ``.npz`` file as arrays ``A`` and ``B``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If A or B is missing, empty, or not a real finite matrix, or if their inner widths differ; the message names
        the file and the array.
    """
    arrays = read_arrays(path)
    A, B = (_factor(arrays, key, str(path)) for key in ("A", "B"))
    if A.shape[1] != B.shape[0]:
        raise ValueError(f"{path}: A must have as many columns as B has rows; A is {A.shape} and B is {B.shape}")
    return A, B


def read_arrays(path: PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file by name.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or holds objects, which only pickle could restore: they are refused unread.
    """
    return _arrays(Path(path).read_bytes(), str(path))


def write_arrays(path: PathLike, /, **arrays: Any) -> None:
    """Write arrays to an ``.npz`` file, whole or not at all; equal arrays give equal bytes.

    Parameters
    ----------
    path : path
    arrays : numbers of any shape, by their names

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If an array holds objects, which only pickle could store.
    """
    named = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in named.items():
        if array.dtype.hasobject:
            raise ValueError(f"{path}: array {name!r} must not hold objects; got dtype {array.dtype}")
    atomic_write(path, _npz(named))


def matrix_of_npy(data: bytes, name: str) -> Content:
    """Return the array of an ``.npy`` file; its mask is left to its NaNs."""
    return Content(_array(data, name))


def matrix_of_npz(data: bytes, name: str) -> Content:
    """Return the arrays ``values`` and ``observed`` (None if absent) of an ``.npz`` file, or its sparse array."""
    arrays = _arrays(data, name)
    rows, columns = (_names(arrays, key, name) for key in _NAMES)
    if "format" in arrays and "data" in arrays:
        return Content(_sparse(arrays, name), None, rows, columns)
    return Content(_entry(arrays, "values", name), arrays.get("observed"), rows, columns)


def _names(arrays: dict[str, np.ndarray], key: str, name: str) -> tuple[str, ...] | None:
    found = arrays.get(key)
    if found is not None and (found.dtype.kind != "U" or found.ndim != 1):
        raise ValueError(f"{name}: {key} must be a list of texts; got dtype {found.dtype} and shape {found.shape}")
    return None if found is None else tuple(found.tolist())


def sensing_of_npz(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Return ``measurements``, ``values`` and ``normalization`` ('mean' if absent) of an ``.npz`` file."""
    arrays = _arrays(data, name)
    normalization = arrays.get("normalization", np.array("mean"))
    if normalization.shape != () or normalization.dtype.kind != "U":
        raise ValueError(f"{name}: normalization must be one text; got an array of {normalization.dtype}")
    return _entry(arrays, "measurements", name), _entry(arrays, "values", name), str(normalization)


def npy_content(problem: MatrixCompletion) -> bytes:
    """Return the bytes of an ``.npy`` file of M with NaN where nothing is observed."""
    return _npy(problem.with_gaps())


def npz_content(problem: MatrixCompletion) -> bytes:
    """Return the bytes of an ``.npz`` file of ``values`` and ``observed``, or of a large sparse array as scipy does."""
    names = {key: getattr(problem, key) for key in _NAMES}
    names = {key: np.array([each or "" for each in held]) for key, held in names.items() if held is not None}
    if problem.shape[0] * problem.shape[1] > DENSE_FILE:
        rows = problem.scattered(problem.targets)
        stored = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, **names}
        return _npz({"format": np.array(b"csr"), "shape": np.array(rows.shape), "_is_array": np.array(True), **stored})
    return _npz({"values": problem.values, "observed": problem.observed, **names})


def _array(data: bytes, name: str) -> np.ndarray:
    refusal = f"{name} is not a plain NumPy array (pickled objects are refused unread, allow_pickle=False)"
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError(f"{refusal}: it does not begin with \\x93NUMPY")
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header surfaces as any of a dozen types
        raise ValueError(f"{refusal}: {_first_line(error)}") from error


def _arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            wanted = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            _require_bounded(sum(member.file_size for member in wanted), len(data))
            members = {member.filename: archive.read(member) for member in wanted}
    except Exception as error:  # a damaged archive surfaces as any of a dozen types
        raise ValueError(f"{name} is not a readable .npz archive: {_first_line(error)}") from error
    keys = {member: member.removesuffix(".npy") for member in members}
    return {key: _array(members[member], f"{name}: array {key!r}") for member, key in keys.items()}


def _require_bounded(content: int, stored: int) -> None:
    """Refuse, before anything is expanded, what declares more content than is ever read; no member yields more."""
    if content > max(LARGEST_CONTENT, stored):
        raise ValueError(
            f"its {stored} bytes expand to {content}, and at most {LARGEST_CONTENT} are read; store a matrix of that "
            "size as a sparse array, or uncompressed"
        )


def _sparse(arrays: dict[str, np.ndarray], name: str) -> Any:
    """Return the sparse array that ``scipy.sparse.save_npz`` stored in the format csr, csc or coo."""
    from scipy import sparse

    layout = arrays["format"].item() if arrays["format"].shape == () else None
    layout = layout.decode("latin-1") if isinstance(layout, bytes) else layout
    parts = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}.get(str(layout))
    if parts is None:
        raise ValueError(f"{name}: the format of a sparse array must be csr, csc or coo; got {layout!r}")
    shape = _entry(arrays, "shape", name)
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or ((shape < 1) | (shape > LARGEST_SIDE)).any():
        raise ValueError(f"{name}: shape must be two positive integers up to {LARGEST_SIDE}; got {shape.tolist()}")
    first, second = (_entry(arrays, part, name) for part in parts)
    size = int(shape[0]), int(shape[1])
    try:
        if layout == "coo":
            return sparse.coo_array((arrays["data"], (first, second)), shape=size)
        kept = getattr(sparse, f"{layout}_array")((arrays["data"], first, second), shape=size)
        kept.check_format(full_check=True)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{name}: the sparse array is damaged: {_first_line(error)}") from error
    return kept


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _entry(arrays: dict[str, np.ndarray], key: str, name: str) -> np.ndarray:
    if key not in arrays:
        raise ValueError(f"{name} must hold an array named {key!r}; it holds {', '.join(sorted(arrays)) or 'none'}")
    return arrays[key]


def _factor(arrays: dict[str, np.ndarray], key: str, name: str) -> np.ndarray:
    array = _entry(arrays, key, name)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or not array.size:
        raise ValueError(f"{name}: {key} must be a real matrix; got dtype {array.dtype} and shape {array.shape}")
    with np.errstate(over="ignore"):
        factor = array.astype(float)
    bad = np.argwhere(~np.isfinite(factor))
    if bad.size:
        i, j = bad[0]
        raise ValueError(f"{name}: {key} must be finite; row {i + 1}, column {j + 1} holds {factor[i, j]}")
    return factor


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return stream.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Return an uncompressed archive with sorted names and a fixed date, so that equal arrays give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(arrays):
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, _npy(arrays[name]))
    return stream.getvalue()
