"""Times what a stock GDB does to the reference application, inside GDB: its start is not in any sample."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.errors import BrownoutError, StateError

if TYPE_CHECKING:
    from pathlib import Path

_GDBS: Final = ("gdb-multiarch", "arm-none-eabi-gdb")
_TIMEOUT_S: Final = 60.0

_SCRIPT: Final = """
import json, os, re, time
import gdb

options = json.loads(os.environ["BROWNOUT_BENCH_GDB"])

def run(command):
    return gdb.execute(command, to_string=True)

def requests():
    if not options["monitor"]:
        return 0
    return int(re.search(r"requests: (\\d+)", run("monitor status"))[1])

def go(function):
    started = time.perf_counter()
    run("continue")
    taken = time.perf_counter() - started
    found = gdb.selected_frame().name()
    if found != function:
        raise gdb.GdbError("expected a stop in %s, found %s" % (function, found))
    return taken

for command in ("set pagination off", "set confirm off", "target remote " + options["target"]):
    run(command)
run("break *measurement_take")
run("break *measurement_encode")
while True:  # the app may stand anywhere
    run("continue")
    if gdb.selected_frame().name() == "measurement_encode":
        break
def measure_continue(count):
    samples = []
    for _ in range(count):
        go("measurement_take")  # after the sleep of the app's loop: not measured
        samples.append(go("measurement_encode"))
    return samples

def measure_stepi(count):
    samples = []
    for _ in range(count):
        started = time.perf_counter()
        run("stepi")
        samples.append(time.perf_counter() - started)
    return samples

measure_continue(1)
before = requests()
continues = measure_continue(options["continues"])
between = requests()
run("delete")
measure_stepi(2)
stepping = requests()
steps = measure_stepi(options["steps"])
after = requests()
run("detach")
with open(options["output"], "w") as file:
    # `monitor status` is one request itself.
    json.dump({"continues": continues, "steps": steps,
               "requests_continue": between - before - 1, "requests_step": after - stepping - 1}, file)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GdbRun:
    """What one GDB measured. Seconds; `requests_*` are round trips to the device, a stop on average."""

    continues: tuple[float, ...]
    steps: tuple[float, ...]
    requests_continue: float
    requests_step: float


def find_gdb() -> str:
    """The GDB to use: BROWNOUT_GDB, or the first that is installed. Raises BrownoutError."""
    wanted = os.environ.get("BROWNOUT_GDB")
    for name in (wanted,) if wanted else _GDBS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise BrownoutError(f"{wanted or _GDBS[0]}: not found; apt install gdb-multiarch, or set BROWNOUT_GDB")


def run_gdb(folder: Path, *, elf: Path, target: str, monitor: bool, steps: int, continues: int) -> GdbRun:
    """Attach a GDB to `target`, measure, detach. `monitor`: the target counts its requests.

    A `continue` goes from one function of the app to the next, with no sleep between them; half of the
    continues are not timed, because they wait for the app. Raises StateError.
    """
    script, output = folder / "gdb-probe.py", folder / "gdb-probe.json"
    script.write_text(_SCRIPT)
    output.unlink(missing_ok=True)
    options = {
        "target": target,
        "monitor": monitor,
        "steps": steps,
        "continues": continues,
        "output": str(output),
    }
    try:
        done = subprocess.run(
            [find_gdb(), "-nx", "-q", "-batch", "-x", str(script), str(elf)],
            env=os.environ | {"BROWNOUT_BENCH_GDB": json.dumps(options)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StateError(f"gdb on {target}: not done within {_TIMEOUT_S:g} s") from error
    if not output.is_file():
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise StateError(f"gdb on {target}: no result; it said: {said[-1]}")
    found = json.loads(output.read_text())
    return GdbRun(
        continues=tuple(found["continues"]),
        steps=tuple(found["steps"]),
        # Of two stops one is timed, both are counted.
        requests_continue=found["requests_continue"] / (2 * continues),
        requests_step=found["requests_step"] / steps,
    )
