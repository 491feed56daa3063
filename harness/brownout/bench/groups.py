"""The groups of figures: each takes a workbench and returns its measurements."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from brownout.bench.debug_group import measure_debug
from brownout.bench.doorbell import controller_s, model_s, operation_rate, round_trip_s
from brownout.bench.relay_group import measure_relay
from brownout.bench.renode_group import measure_renode
from brownout.bench.samples import Measurement
from brownout.bench.sizes import image_sizes
from brownout.bench.sweep_group import measure_sweep
from brownout.bench.workbench import NEW, OLD
from brownout.errors import ViolationError
from brownout.flash import Erase, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from brownout.bench.workbench import Workbench

_CUT: Final = "region=kernel.program#128/torn"
"""In the middle of a kernel of 64 KiB: 256 programs of 256 bytes."""


def measure_power_on(bench: Workbench) -> list[Measurement]:
    """Plain boots of the factory's set."""
    bench.progress("power-on")
    boots = [bench.plain_boot() for _ in range(bench.repeat)]
    return [
        Measurement(name="power-on.first-byte", samples=tuple(boot.first_byte_s * 1e3 for boot in boots)),
        Measurement(name="power-on.app", samples=tuple(boot.app_s * 1e3 for boot in boots)),
    ]


def measure_upgrade(bench: Workbench) -> list[Measurement]:
    """Complete upgrades."""
    runs = bench.upgrades
    sizes = [len(image.image) for image in bench.new_images.values()]
    samples = {
        "total": tuple(run.download_s + run.install_s for run in runs),
        "download": tuple(run.download_s for run in runs),
        "install": tuple(run.install_s for run in runs),
        "link-bytes": tuple(run.link_bytes for run in runs),
        "link-rate": tuple(run.link_bytes / run.download_s for run in runs),
    }
    named = {key: Measurement(name=f"upgrade.{key}", samples=values) for key, values in samples.items()}
    payload = Measurement(
        name="upgrade.payload", samples=(sum(sizes),), note=" + ".join(str(size) for size in sizes)
    )
    return [
        named["total"],
        named["download"],
        named["install"],
        payload,
        named["link-bytes"],
        named["link-rate"],
    ]


def measure_doorbell(bench: Workbench) -> list[Measurement]:
    """Flash operations of the upgrades."""
    runs, flash, seed = [run.copy for run in bench.upgrades], bench.board.flash, bench.seed
    bench.progress("doorbell")
    measured = [
        Measurement(name="doorbell.rate", samples=tuple(operation_rate(run) for run in runs)),
        Measurement(name="doorbell.operations", samples=tuple(len(run) for run in runs)),
    ]
    bare = [[timed.operation for timed in run] for run in runs]
    for name, kind in (("program", Program), ("erase", Erase)):
        samples = {
            "": tuple(round_trip_s(run, kind) * 1e6 for run in runs),
            "-controller": tuple(controller_s(flash, run, kind, seed) * 1e6 for run in bare),
            "-model": tuple(model_s(flash, run, kind, seed) * 1e6 for run in bare),
        }
        measured += [
            Measurement(name=f"doorbell.{name}{part}", samples=values) for part, values in samples.items()
        ]
    return measured


def measure_recovery(bench: Workbench) -> list[Measurement]:
    """Cut in the copy of the kernel, recover, check the oracles; each beside a plain boot."""
    cycles, recoveries, ratios = [], [], []
    unit, staged = bench.unit, bench.staged
    sets = bench.lab.envelopes(old=OLD, new=NEW)
    bench.progress("cut and recover")
    for number in range(bench.repeat):
        plain = bench.plain_boot()
        started = time.monotonic()
        unit.restore(staged, seed=bench.seed + number)
        unit.link.connected = False
        unit.cut_while_booting(_CUT)
        cut = time.monotonic()
        state = unit.recover(sets, floor=OLD)
        ended = time.monotonic()
        unit.device.cut_power()
        if state.installed is None or state.installed.manifest.sequence != NEW:
            raise ViolationError(f"cut and recover: set {NEW} was staged and is not installed")
        cycles.append(ended - started)
        recoveries.append(ended - cut)
        ratios.append((ended - started) / plain.app_s)
    return [
        Measurement(name="cut-and-recover.cycle", samples=tuple(cycles)),
        Measurement(name="cut-and-recover.recovery", samples=tuple(recoveries)),
        Measurement(name="cut-and-recover.ratio", samples=tuple(ratios)),
    ]


def measure_size(bench: Workbench) -> list[Measurement]:
    """Sizes of the build that devices upgrade to."""
    sizes = image_sizes(bench.upgrade_build)
    return [Measurement(name=f"size.{key}", samples=(size,)) for key, size in sizes.items()]


def measure_stack(bench: Workbench) -> list[Measurement]:
    """High-water marks of the upgrades."""
    runs = bench.upgrades
    return [
        Measurement(
            name=f"stack.{name}",
            samples=tuple(run.marks[name] for run in runs),
            note=f"of {runs[0].areas[name]}",
        )
        for name in ("boot", "kernel", "interrupt", "app")
    ]


GROUPS: Final[Mapping[str, Callable[[Workbench], list[Measurement]]]] = {
    "power-on": measure_power_on,
    "upgrade": measure_upgrade,
    "doorbell": measure_doorbell,
    "cut-and-recover": measure_recovery,
    "size": measure_size,
    "stack": measure_stack,
    "debug": measure_debug,
    "relay": measure_relay,
    "sweep": measure_sweep,
    "renode": measure_renode,
}
"""In the order in which they run; names as in figures.py."""
