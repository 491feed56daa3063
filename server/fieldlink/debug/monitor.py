"""GDB's `monitor` commands."""

import struct
from dataclasses import dataclass
from typing import Final

from fieldlink.debug.errors import RequestRefusedError
from fieldlink.debug.target import Target
from fieldlink.debug_messages import ResetTarget
from fieldlink.errors import FieldlinkError, ManifestError
from fieldlink.manifest import Manifest, digest, read_unverified
from fieldlink.token import describe_permissions
from fieldlink.version import format_version

_HELP: Final = (
    "help                 this list\n"
    "status               the agent, the app's state, round trips so far\n"
    "reset [app|device]   restart the app (default) and stop it; or the device, which ends the session\n"
    "modules              the installed set\n"
    "permissions          what the token allows\n"
)
_STATUS: Final = struct.Struct("<BBBBII")
_WORDS: Final = ("help", "status", "reset", "modules", "permissions")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What `monitor` can tell beyond the target. `envelope`: the installed manifest, if it is known."""

    device: str
    manifest_digest: bytes
    envelope: bytes = b""


async def run_monitor(text: str, target: Target, facts: SessionFacts) -> str:
    """The text that GDB shows. A command that fails says so in it."""
    words = text.split()
    try:
        match words:
            case [] | ["help"]:
                return _HELP
            case ["status"]:
                return await _status(target, facts)
            case ["permissions"]:
                return describe_permissions(target.permissions) + "\n"
            case ["modules"]:
                return _modules(facts)
            case ["reset"] | ["reset", "app"]:
                await target.reset(ResetTarget.APP)
                stopped = (
                    "stopped; `maintenance flush register-cache` shows it" if not target.running else "runs"
                )
                return f"app restarted, it is {stopped}\n"
            case ["reset", "device"]:
                await target.reset(ResetTarget.DEVICE)
                return "the device resets; this session ends\n"
            case _:
                return f"unknown: {text:.40}; expected one of {', '.join(_WORDS)}\n"
    except FieldlinkError as error:
        return f"{error}\n"


async def _status(target: Target, facts: SessionFacts) -> str:
    agent = target.agent
    lines = [
        f"device {facts.device}, agent version {agent.version}, app is "
        + ("running" if target.running else "stopped"),
        f"breakpoints: {'FPB' if agent.hardware_breakpoints else 'BKPT patches'}",
        f"watchpoints: {'DWT' if agent.hardware_watchpoints else 'MPU'}",
        f"code at {agent.code_base:#010x}, {agent.code_size:#x} bytes",
        f"data at {agent.data_base:#010x}, {agent.data_size:#x} bytes",
    ]
    try:
        raw = await target.status()
        lines.append(_agent_status(raw))
    except RequestRefusedError as error:
        lines.append(str(error))
    lines.append(f"permissions: {describe_permissions(target.permissions)}; requests: {target.round_trips}")
    return "\n".join(lines) + "\n"


def _agent_status(raw: bytes) -> str:
    if len(raw) != _STATUS.size:
        return f"agent status: {raw.hex()}"
    _, _, breakpoints, watchpoints, _, dropped = _STATUS.unpack(raw)
    return f"set: {breakpoints} breakpoints, {watchpoints} watchpoints; {dropped} bytes of output dropped"


def _modules(facts: SessionFacts) -> str:
    manifest = _manifest(facts)
    if manifest is None:
        return (
            f"installed manifest {facts.manifest_digest.hex()}\n"
            "(start the debugger with --manifest FILE to see its modules)\n"
        )
    lines = [f"release {manifest.sequence} for {manifest.board}"]
    lines += [
        f"module {module.id}: version {format_version(module.version)}, {module.image_size} bytes, "
        f"{module.digest.hex()[:16]}"
        for module in manifest.modules
    ]
    return "\n".join(lines) + "\n"


def _manifest(facts: SessionFacts) -> Manifest | None:
    if not facts.envelope or digest(facts.envelope) != facts.manifest_digest:
        return None
    try:
        return read_unverified(facts.envelope)
    except ManifestError:
        return None
