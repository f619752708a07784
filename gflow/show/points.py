"""Notebooks' view of trajectories, critical points and spectra."""

from __future__ import annotations

from functools import partial

import gflow
from gflow.report import format_number
from gflow.show import drawings
from gflow.show.elements import facts, page, picture, table

MOST_VALUES = 6


def trajectory(record: gflow.Trajectory) -> str:
    """Return how a trajectory ended, its gauges of accuracy, its plateaus and its loss against time."""
    known = [
        ("time", format_number(float(record.times[-1]))),
        ("loss", format_number(record.final_loss, 3)),
        ("gradient norm", format_number(float(record.gradient_norms[-1]), 3)),
        ("error of W", format_number(record.error, 2)),
        ("method", f"{record.method}, {record.n_steps} steps, {record.n_gradients} gradients"),
    ]
    rows = [(plateau.loss, plateau.start, plateau.end) for plateau in record.plateaus]
    stays = table(("loss", "from", "to"), rows, caption="plateaus") if rows else ""
    small = picture(partial(drawings.trajectory, record), "Loss against time") if len(record.times) > 1 else ""
    return page("Trajectory", f"{record.status}: {record.message}", small, facts(known), stays)


def critical_point(record: gflow.CriticalPoint) -> str:
    """Return the kind of a critical point and its spectrum."""
    known = [
        ("loss", format_number(record.value)),
        ("gradient norm", format_number(record.gradient_norm, 3)),
        ("negative eigenvalues", str(record.index)),
        ("zero modes", "not computed" if record.n_zero is None else _bounded(record.n_zero, record.gauge_dimension)),
        ("escape rate", format_number(record.escape_rate or None)),
        ("multiplicity", format_number(record.multiplicity or None)),
    ]
    summary = str(record.kind).replace("-", " ") + (f": {record.reason}" if record.reason else "")
    return page("Critical point", summary, facts(known), _spectrum(record.spectrum))


def spectrum(record: gflow.Spectrum) -> str:
    """Return the ends of a spectrum and its picture."""
    if not record.values.size:
        return page("Spectrum", f"not computed; norm about {format_number(record.norm, 2)}")
    which = "all" if record.complete else "the lowest"
    lowest = ", ".join(format_number(float(value), 4) for value in record.values[:MOST_VALUES])
    known = [
        ("lowest", lowest),
        ("largest size", format_number(record.norm)),
        ("multiplicity", str(record.multiplicity())),
    ]
    return page("Spectrum", f"{which} {len(record.values)} eigenvalues", facts(known), _spectrum(record))


def _spectrum(record: gflow.Spectrum) -> str:
    return picture(partial(drawings.spectrum, record), "Eigenvalues in ascending order") if record.values.size else ""


def _bounded(count: int, least: int | None) -> str:
    return str(count) if least is None else f"{count} (at least {least} by symmetry)"
