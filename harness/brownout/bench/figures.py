"""What is measured: names, units and aims, as data. What each one means is said in docs/figures.md."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from brownout.errors import StateError


class Unit(enum.Enum):
    """What a figure counts. The value is the unit's sign."""

    SECOND = "s"
    MILLISECOND = "ms"
    MICROSECOND = "us"
    BYTE = "B"
    BYTE_RATE = "B/s"
    OPERATION = "op"
    OPERATION_RATE = "op/s"
    MESSAGE_RATE = "msg/s"
    POINT_RATE = "points/s"
    CUT_RATE = "cuts/s"
    ROUND_TRIP = "rt"
    RATIO = "x"


class Bound(enum.Enum):
    """Which side of the aim the headline must be on. The value is the sign."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Headline(enum.Enum):
    """Which of the samples stands for all of them."""

    MEDIAN = "median"
    WORST = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that the benchmark measures.

    `aim` is the limit of the headline, in `unit`, and `bound` says on which side of it is good; `aim` is None
    when nobody asked for a limit.
    """

    group: str
    key: str
    unit: Unit
    title: str
    aim: float | None = None
    bound: Bound = Bound.AT_MOST
    headline: Headline = Headline.MEDIAN

    @property
    def name(self) -> str:
        """Name in tables and JSON: GROUP.KEY."""
        return f"{self.group}.{self.key}"


def _power_on() -> tuple[Figure, ...]:
    group, ms = "power-on", Unit.MILLISECOND
    return (
        Figure(group=group, key="first-byte", unit=ms, title="power-on to boot's first byte"),
        Figure(group=group, key="app", unit=ms, title="power-on to the application's first line"),
    )


def _upgrade() -> tuple[Figure, ...]:
    group, s = "upgrade", Unit.SECOND
    return (
        Figure(group=group, key="total", unit=s, title="check to new application, 3 modules, no cut"),
        Figure(group=group, key="download", unit=s, title="check to upgrade flag set"),
        Figure(group=group, key="install", unit=s, title="flag set to new application"),
        Figure(group=group, key="payload", unit=Unit.BYTE, title="size of the three images"),
        Figure(
            group=group, key="link-bytes", unit=Unit.BYTE, title="bytes to the device during the download"
        ),
        Figure(group=group, key="link-rate", unit=Unit.BYTE_RATE, title="the same by the second"),
    )


def _doorbell() -> tuple[Figure, ...]:
    group, us = "doorbell", Unit.MICROSECOND
    return (
        Figure(group=group, key="rate", unit=Unit.OPERATION_RATE, title="flash operations in boot's copy"),
        Figure(group=group, key="operations", unit=Unit.OPERATION, title="how many they were"),
        Figure(group=group, key="program", unit=us, title="round trip of a program operation"),
        Figure(group=group, key="program-controller", unit=us, title="the same without the emulator"),
        Figure(group=group, key="program-model", unit=us, title="the flash model's part of it"),
        Figure(group=group, key="erase", unit=us, title="round trip of an erase operation"),
        Figure(group=group, key="erase-controller", unit=us, title="the same without the emulator"),
        Figure(group=group, key="erase-model", unit=us, title="the flash model's part of it"),
    )


def _recovery() -> tuple[Figure, ...]:
    group = "cut-and-recover"
    return (
        Figure(group=group, key="cycle", unit=Unit.SECOND, title="restore, cut, recover, oracles", aim=1.5),
        Figure(group=group, key="recovery", unit=Unit.SECOND, title="its part after the cut"),
        Figure(group=group, key="ratio", unit=Unit.RATIO, title="the cycle by a plain power-on to app"),
    )


def _size() -> tuple[Figure, ...]:
    group, kib = "size", 1024
    return (
        Figure(group=group, key="boot-flash", unit=Unit.BYTE, title="boot in ROM", aim=40 * kib),
        Figure(group=group, key="kernel-flash", unit=Unit.BYTE, title="kernel in flash", aim=96 * kib),
        Figure(group=group, key="app-flash", unit=Unit.BYTE, title="app in flash"),
        Figure(group=group, key="assets-flash", unit=Unit.BYTE, title="assets in flash"),
        Figure(group=group, key="boot-ram", unit=Unit.BYTE, title="boot's RAM, stack included"),
        Figure(group=group, key="kernel-ram", unit=Unit.BYTE, title="kernel's RAM, stacks included"),
        Figure(group=group, key="both-ram", unit=Unit.BYTE, title="RAM of boot and kernel", aim=64 * kib),
        Figure(group=group, key="app-ram", unit=Unit.BYTE, title="app's RAM: code, data, stack"),
    )


def _stack() -> tuple[Figure, ...]:
    titles = {
        "boot": "boot, after it installed a set",
        "kernel": "kernel thread, after download and start",
        "interrupt": "kernel's handlers, the same",
        "app": "app, the same",
    }
    return tuple(
        Figure(group="stack", key=key, unit=Unit.BYTE, title=title, headline=Headline.WORST)
        for key, title in titles.items()
    )


def _debug() -> tuple[Figure, ...]:
    group, ms, x, rate, rt = "debug", Unit.MILLISECOND, Unit.RATIO, Unit.BYTE_RATE, Unit.ROUND_TRIP
    stub = "the same on QEMU's gdbstub"
    return (
        Figure(group=group, key="stepi", unit=ms, title="GDB's stepi, end to end"),
        Figure(group=group, key="stepi-stub", unit=ms, title=stub),
        Figure(group=group, key="stepi-ratio", unit=x, title="the one by the other", aim=3.0),
        Figure(group=group, key="continue", unit=ms, title="GDB's continue to a breakpoint, end to end"),
        Figure(group=group, key="continue-stub", unit=ms, title=stub),
        Figure(group=group, key="continue-ratio", unit=x, title="the one by the other", aim=3.0),
        Figure(group=group, key="step-trips", unit=rt, title="round trips a stop, stepi", aim=2.0),
        Figure(group=group, key="continue-trips", unit=rt, title="round trips a stop, continue", aim=2.0),
        Figure(group=group, key="read", unit=rate, title="memory read end to end, 16 KiB"),
        Figure(group=group, key="raw", unit=rate, title="what the emulated UART can send"),
        Figure(
            group=group,
            key="read-ratio",
            unit=x,
            title="the one by the other",
            aim=0.8,
            bound=Bound.AT_LEAST,
        ),
        Figure(group=group, key="read-share", unit=x, title="memory bytes by bytes on the UART"),
    )


def _relay() -> tuple[Figure, ...]:
    group, ms = "relay", Unit.MILLISECOND
    figures = []
    for count in (1, 100, 1000):
        who = "1 device" if count == 1 else f"{count} devices"
        figures += [
            Figure(
                group=group, key=f"rate-{count}", unit=Unit.MESSAGE_RATE, title=f"messages relayed, {who}"
            ),
            Figure(
                group=group, key=f"cpu-{count}", unit=Unit.MICROSECOND, title="gateway's processor time each"
            ),
            Figure(group=group, key=f"p50-{count}", unit=ms, title="one at a time, there and back: p50"),
            Figure(group=group, key=f"p99-{count}", unit=ms, title="the same: p99"),
        ]
    memory = Figure(group=group, key="memory", unit=Unit.BYTE, title="gateway's memory, an idle device")
    return (*figures, memory)


def _sweep() -> tuple[Figure, ...]:
    group, rate, least = "sweep", Unit.POINT_RATE, Bound.AT_LEAST
    linear = "time by operations, images of"
    return (
        Figure(group=group, key="reference-points", unit=rate, title="cuts of the reference upgrade"),
        Figure(
            group=group, key="reference-time", unit=Unit.SECOND, title="the whole sweep, 3 phases", aim=60.0
        ),
        Figure(group=group, key="nrf-rate", unit=rate, title="cuts of nrf52840-swap", aim=170.0, bound=least),
        Figure(group=group, key="nrf-distinct", unit=rate, title="its recoveries that had to be run"),
        Figure(group=group, key="linear-1x", unit=Unit.MILLISECOND, title=f"{linear} 2 KiB"),
        Figure(group=group, key="linear-2x", unit=Unit.MILLISECOND, title=f"{linear} 4 KiB"),
        Figure(group=group, key="linear-4x", unit=Unit.MILLISECOND, title=f"{linear} 8 KiB"),
        Figure(group=group, key="linearity", unit=Unit.RATIO, title="the last by the first", aim=1.5),
    )


def _renode() -> tuple[Figure, ...]:
    group, rate = "renode", Unit.CUT_RATE
    return (
        Figure(group=group, key="renode-rate", unit=rate, title="cut and recovery, reference, on Renode"),
        Figure(group=group, key="qemu-rate", unit=rate, title="the same cuts on QEMU"),
        Figure(group=group, key="unicorn-rate", unit=rate, title="the same cuts on Unicorn, none derived"),
        Figure(group=group, key="by-qemu", unit=Unit.RATIO, title="Renode's rate by QEMU's"),
        Figure(group=group, key="by-unicorn", unit=Unit.RATIO, title="Renode's rate by Unicorn's"),
    )


FIGURES: Final = (
    *_power_on(),
    *_upgrade(),
    *_doorbell(),
    *_recovery(),
    *_size(),
    *_stack(),
    *_debug(),
    *_relay(),
    *_sweep(),
    *_renode(),
)
"""All figures, in the order of the table."""


def find_figure(name: str) -> Figure:
    """The figure of this name. Raises StateError."""
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise StateError(f"figure '{name}': not in the catalogue (brownout.bench.figures)")
