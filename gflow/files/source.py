"""The bytes of a file or of standard input: bounded before they are read, and expanded where they are compressed."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from pathlib import Path

from gflow.files.atomic import PathLike

LARGEST_FILE = 2**31
"""Bytes of the largest file that is read."""
LARGEST_EXPANDED = 2**30
"""Bytes to which a compressed file may expand, unless it is itself larger."""
_GZIP = b"\x1f\x8b"


def content(path: PathLike) -> bytes:
    """Return what a file holds, expanded if it is compressed by gzip.

    Raises ``OSError`` if it cannot be read, and ``ValueError`` if it is too large or damaged.
    """
    if os.fspath(path) == "-":
        return _expanded(_standard_input(), "standard input")
    with Path(path).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        return _expanded(_bounded(stream, size, str(path)), str(path))


def suffix(path: PathLike) -> str:
    """Return the lower-case suffix that tells the format, without that of gzip."""
    name = Path(path).name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _bounded(stream: io.BufferedIOBase, size: int, name: str) -> bytes:
    """Return what a stream holds; a device has no size of its own, so that what arrives is bounded too."""
    data = b"" if size > LARGEST_FILE else stream.read(LARGEST_FILE + 1)
    if max(size, len(data)) > LARGEST_FILE:
        raise ValueError(f"{name} holds more than {LARGEST_FILE} bytes, the most that is read: store it as .npz")
    return data


def _standard_input() -> bytes:
    stream = sys.stdin
    if stream is None:
        raise OSError("standard input is closed")
    held = getattr(stream, "buffer", stream).read(LARGEST_FILE + 1)
    data = held.encode() if isinstance(held, str) else held
    return _bounded(io.BytesIO(data), len(data), "standard input")


def _expanded(data: bytes, name: str) -> bytes:
    if not data.startswith(_GZIP):
        return data
    most = max(LARGEST_EXPANDED, len(data))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            found = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} is not a readable gzip file: {error}") from error
    if len(found) > most:
        raise ValueError(f"{name} expands to more than {most} bytes, the most that is read: store it as .npz")
    return found
