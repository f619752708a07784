"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]


def atomic_write(path: PathLike, data: bytes | str) -> None:
    """Write a whole file, or leave what stood there as it was.

    The data go to a new file in the same folder, which then takes the name. A link is followed; a device or a pipe,
    which holds nothing to keep, is written to directly.

    Parameters
    ----------
    path : path
    data : bytes or str
        Text is stored as UTF-8, line ends unchanged.

    Raises
    ------
    OSError
        If the file cannot be written; the error names ``path``.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            Path(path).write_bytes(content)
        else:
            _replace(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(target: Path, content: bytes) -> None:
    fresh = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(fresh, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, target)
    finally:
        if fresh.exists():
            fresh.unlink()
