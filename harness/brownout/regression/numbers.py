"""Figures as a person reads them: ratio first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from brownout.regression.model import Band, FigureEntry

_LARGE: Final = 10.0


def ratio_text(figure: FigureEntry) -> str:
    """How far it moved, as a factor, or in percent below 10 %: "+0.4 %"; "was 0" without a ratio."""
    if figure.ratio is None:
        return "was 0,"
    if abs(figure.ratio - 1) < 0.1:
        percent = (figure.ratio - 1) * 100
        return f"{percent:+.1f} %" if abs(percent) >= 0.1 else "under 0.1 %"
    return f"×{figure.ratio:,.0f}" if figure.ratio >= _LARGE else f"×{figure.ratio:.2f}"  # noqa: RUF001 - a factor


def value_text(value: float, unit: str) -> str:
    """A value with its unit, to four digits; whole numbers whole."""
    if value == int(value):
        number = f"{int(value):,}"
    elif abs(value) >= 1000:
        number = f"{value:,.0f}"
    else:
        number = f"{value:.4g}"
    return f"{number} {unit}".rstrip()


def band_text(figure: FigureEntry) -> str:
    """Where the figure usually is, or why nobody knows."""
    usual: Band | None = figure.band
    if not figure.noisy:
        return "exact: every change counts"
    if usual is None:
        return f"too few runs to tell from noise: {figure.runs_known} of {figure.runs_needed}"
    low, high = value_text(max(usual.low, 0.0), ""), value_text(usual.high, "")
    return f"usually {low} to {high} {figure.unit}".rstrip() + f" ({usual.runs} runs)"
