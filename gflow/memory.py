"""Memory that a computation will need, compared with what is free before it begins.

An operating system that promises more than it has ends a process without a word when the promise falls due. So what is
certain to be held is added up first, and refused in a sentence.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

UNASKED = 2**28
"""Bytes that are not worth a look: 256 MiB."""
GROUP = Path("/sys/fs/cgroup")


def require_memory(numbers: float, what: str) -> None:
    """Raise ``MemoryError`` if so many doubles do not fit into the memory that is free.

    Parameters
    ----------
    numbers : float
        Doubles that are held at the same time, at least.
    what : str
        What needs them, as the subject of a sentence.
    """
    wanted = 8.0 * numbers
    if wanted > UNASKED and wanted > (free := free_memory()):
        raise MemoryError(f"{what} needs about {wanted / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free")


def free_memory() -> float:
    """Return the bytes that this process can still take without being refused or ended; infinity where none can tell.

    That is the least of what the machine, the control group and the limit of the address space leave.
    """
    return min(_of_machine(), _of_group(), _of_address_space())


def _of_machine() -> float:
    known = _table("/proc/meminfo")
    if "MemAvailable" in known:
        return 1024.0 * (known["MemAvailable"] + known.get("SwapFree", 0.0))
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, or a name that is not known
        return np.inf


def _of_group() -> float:
    try:
        most, held = ((GROUP / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
    except OSError:
        return np.inf
    spare = _table(GROUP / "memory.stat").get("inactive_file", 0.0)
    return np.inf if most == "max" else max(float(most) - float(held) + spare, 0.0)


def _of_address_space() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return np.inf
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    held = 1024.0 * _table("/proc/self/status").get("VmSize", 0.0)
    return np.inf if most == resource.RLIM_INFINITY else max(most - held, 0.0)


def _table(path: str | Path) -> dict[str, float]:
    """Return the numbers of a file of lines like "name: number unit"; none if there is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.replace(":", " ").split() for line in lines)
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}
