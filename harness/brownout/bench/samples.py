"""Samples of figures, what they come to, and whether that meets the aim."""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.bench.figures import Bound, Headline, find_figure
from brownout.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.bench.figures import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Samples of the figure `name`, in its unit. `note` puts them in proportion, such as "of 12288"."""

    name: str
    samples: tuple[float, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the samples come to."""

    count: int
    median: float
    minimum: float
    maximum: float


class Verdict(enum.Enum):
    """Whether a figure meets its aim."""

    OK = "ok"
    MISSED = "missed"
    NO_AIM = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A figure with what was measured."""

    figure: Figure
    measurement: Measurement
    summary: Summary
    value: float
    verdict: Verdict


def summarize(samples: Sequence[float]) -> Summary:
    """Median and extremes. Raises StateError when there are no samples."""
    if not samples:
        raise StateError("summary: there are no samples; measure at least once")
    return Summary(
        count=len(samples),
        median=statistics.median(samples),
        minimum=min(samples),
        maximum=max(samples),
    )


def judge(measurement: Measurement) -> Result:
    """Join a measurement with its figure. Raises StateError: unknown figure, no samples."""
    figure = find_figure(measurement.name)
    summary = summarize(measurement.samples)
    value = summary.median if figure.headline is Headline.MEDIAN else summary.maximum
    verdict = Verdict.NO_AIM
    if figure.aim is not None:
        met = value <= figure.aim if figure.bound is Bound.AT_MOST else value >= figure.aim
        verdict = Verdict.OK if met else Verdict.MISSED
    return Result(figure=figure, measurement=measurement, summary=summary, value=value, verdict=verdict)
