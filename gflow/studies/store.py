"""The SQLite file that keeps the results of a sweep: JSON text, one commit for each result, one process at a time."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gflow
from gflow.studies.sweep import Plain, Sweep, SweepRow, canonical, digest

APPLICATION = 0x67666C77
"""SQLite's application id of a store: "gflw" in ASCII."""
FORMAT = 1
"""Version of the tables below."""
SCHEMA = (
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE results (number INTEGER PRIMARY KEY, digest TEXT NOT NULL, configuration TEXT NOT NULL, "
    "result TEXT NOT NULL, error TEXT NOT NULL)",
)
LOCK_SECONDS = 0.5
"""Seconds to wait for a lock before another process counts as the owner of the store."""


class Store:
    """An open store; whoever has one open keeps every other process out.

    The lock belongs to the operating system and ends with the process, also with one that was killed; SQLite then
    rolls an unfinished commit back.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, configurations: Sequence[dict[str, Plain]]) -> None:
        self.path, self._connection, self._configurations = path, connection, configurations
        self.seed = int(self._about()["seed"])

    @classmethod
    @contextmanager
    def opened(
        cls, path: str | os.PathLike[str], sweep: Sweep, configurations: Sequence[dict[str, Plain]], seed: int | None
    ) -> Iterator[Store]:
        """Open the store of a sweep, or make one with the seed (0 for None); it is closed at the end of the block.

        Raises
        ------
        ValueError
            If the file is no store, or the store of another sweep, version or seed. It is left as it was.
        OSError
            If another process has it open, or it cannot be read or written; ``errno`` is EBUSY, ENOSPC or EIO.
        """
        name = os.fspath(path)
        with _translated(name):
            connection = sqlite3.connect(Path(name).absolute(), timeout=LOCK_SECONDS, isolation_level=None)
        try:
            with _translated(name):
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("BEGIN EXCLUSIVE")
                _prepare(connection, name, identity(sweep, configurations), seed)
                connection.execute("COMMIT")
            yield cls(name, connection, configurations)
        finally:
            connection.close()

    def rows(self) -> dict[int, SweepRow]:
        """Return the rows by index; raises ``ValueError`` for one that does not belong to its configuration."""
        with _translated(self.path):
            found = self._connection.execute("SELECT number, digest, result, error FROM results").fetchall()
        return {number: self._row(number, key, result, error) for number, key, result, error in found}

    def add(self, row: SweepRow) -> None:
        """Add a row and commit it; raises ``OSError`` where that fails, and the rows before it are kept."""
        text = canonical(row.configuration), json.dumps(row.result, ensure_ascii=False, allow_nan=False)
        with _translated(self.path):
            self._connection.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?)",
                (row.index, digest(row.configuration), *text, row.error),
            )

    def _about(self) -> dict[str, str]:
        with _translated(self.path):
            return dict(self._connection.execute("SELECT key, value FROM about").fetchall())

    def _row(self, number: int, key: str, result: str, error: str) -> SweepRow:
        if not 0 <= number < len(self._configurations) or key != digest(self._configurations[number]):
            raise ValueError(f"{self.path}: row {number} does not belong to configuration {number} of the sweep")
        try:
            return SweepRow(number, self._configurations[number], json.loads(result), error)
        except ValueError as broken:
            raise ValueError(f"{self.path}: the result of row {number} cannot be read: {broken}") from broken


def identity(sweep: Sweep, configurations: Sequence[Mapping[str, Plain]]) -> dict[str, str]:
    """Return what must be equal for a store to take up the results of a sweep, in the order in which it is compared."""
    return {
        "sweep": sweep.name,
        "version of the sweep": str(sweep.version),
        "version of gflow": gflow.__version__,
        "configurations": f"{len(configurations)} with digest {digest(list(configurations))}",
    }


def _prepare(connection: sqlite3.Connection, path: str, wanted: dict[str, str], seed: int | None) -> None:
    """Write the tables into an empty file; refuse a file that holds anything but the store of this sweep."""
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        for statement in SCHEMA:
            connection.execute(statement)
        about = wanted | {"seed": str(seed or 0)}
        connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        return
    if _number(connection, "application_id") != APPLICATION:
        raise ValueError(f"{path} is an SQLite file but not the store of a sweep")
    if (found := _number(connection, "user_version")) != FORMAT:
        raise ValueError(f"{path} is a store of format {found}; this version of gflow reads format {FORMAT}")
    stored = dict(connection.execute("SELECT key, value FROM about").fetchall())
    given = wanted if seed is None else wanted | {"seed": str(seed)}
    for key, value in given.items():
        if stored.get(key) != value:
            raise ValueError(f"{path} was made with {key} {stored.get(key)}, not {value}: choose another store")


def _number(connection: sqlite3.Connection, pragma: str) -> Any:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ``OSError`` and ``ValueError`` that name the file."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            raise OSError(errno.EBUSY, "another process is using this store", path) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise ValueError(f"{path} is not the store of a sweep: {error}") from error
        raise OSError(errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO, str(error), path) from error
