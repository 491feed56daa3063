"""`brownout flash`: look into flash images of the reference firmware, and make new ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brownout.board import load_board
from brownout.cli.options import board_option, json_option, platform_option
from brownout.errors import BrownoutError, ImageError
from brownout.files import read_file, write_atomic
from brownout.reference import factory_image, read_state
from fieldlink.version import format_version

if TYPE_CHECKING:
    from brownout.board import Board, Module
    from brownout.reference import DeviceState, InstalledSet


@click.group("flash")
def flash_group() -> None:
    """Flash images of the reference firmware.

    \b
    Examples:
      brownout flash inspect build/flash.bin --json
      brownout flash factory --identity id.bin --manifest 1.cose --module kernel=kernel.bin --output flash.bin
    """


@flash_group.command("inspect")
@click.argument("image", type=click.Path(path_type=Path))
@board_option
@platform_option
@json_option
def inspect_command(image: Path, board: str, platform: Path | None, as_json: bool) -> None:
    """Say what IMAGE (a whole flash array) holds: identity, manifests, upgrade flag, download progress.

    \b
    Examples:
      brownout flash inspect flash.bin
      brownout flash inspect after.bin --json
    """
    loaded = load_board(board, platform)
    try:
        state = read_state(loaded, read_file(image, "a flash image"))
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from error
    print(json.dumps(_as_dict(loaded, state), indent=2) if as_json else _in_words(loaded, state))


@flash_group.command("factory")
@click.option(
    "--identity", type=click.Path(path_type=Path), required=True, help="Identity blob (fieldlink provision)."
)
@click.option("--manifest", type=click.Path(path_type=Path), required=True, help="Signed manifest envelope.")
@click.option("--module", "modules", multiple=True, required=True, help="NAME=FILE, once for each module.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Flash image to write.")
@board_option
@platform_option
def factory_command(
    identity: Path, manifest: Path, modules: tuple[str, ...], output: Path, board: str, platform: Path | None
) -> None:
    """Make the flash image of a new device.

    \b
    Examples:
      brownout flash factory --identity id.bin --manifest 1.cose --module kernel=kernel.bin --output flash.bin
    """
    images: dict[str, bytes] = {}
    for item in modules:
        name, equals, file = item.partition("=")
        if not equals or not file:
            raise BrownoutError(f"--module {item}: expected NAME=FILE, such as kernel=build/kernel.bin")
        images[name] = read_file(Path(file), f"the image of module {name}")
    image = factory_image(
        load_board(board, platform),
        identity=read_file(identity, "an identity"),
        envelope=read_file(manifest, "a manifest"),
        modules=images,
    )
    write_atomic(output, image)


def _as_dict(board: Board, state: DeviceState) -> dict[str, object]:
    identity, flag, progress = state.identity, state.flag, state.progress
    return {
        "board": board.name,
        "identity": None
        if identity is None
        else {
            "device_id": identity.device_id,
            "server_public_key": identity.server_public_key.hex(),
            "release_public_key": identity.release_public_key.hex(),
        },
        "installed": _set_as_dict(state.installed),
        "staged": _set_as_dict(state.staged),
        "flag": {
            "state": flag.state.name.lower(),
            "module_mask": flag.module_mask,
            "floor": flag.floor,
            "manifest_digest": flag.manifest_digest.hex(),
            "drop_reason": flag.drop_reason,
        },
        "progress": {
            "active": progress.active,
            "manifest_digest": progress.manifest_digest.hex(),
            "chunks": {
                module: progress.chunks[place.id] for module, place in _counted(board, progress.chunks)
            },
        },
        "problems": list(state.problems),
    }


def _set_as_dict(found: InstalledSet | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "sequence": found.manifest.sequence,
        "board": found.manifest.board,
        "signed": found.signed,
        "complete": found.complete,
        "modules": [
            {
                "name": item.name,
                "id": item.module.id,
                "version": format_version(item.module.version),
                "size": item.module.image_size,
                "digest": item.module.digest.hex(),
                "matches": item.matches,
            }
            for item in found.modules
        ],
    }


def _in_words(board: Board, state: DeviceState) -> str:
    flag, progress = state.flag, state.progress
    lines = [f"device     {state.identity.device_id if state.identity else 'no identity'} ({board.name})"]
    lines += _set_in_words("installed", state.installed)
    lines += _set_in_words("staged", state.staged)
    copied = [name for name, place in board.modules.items() if flag.module_mask >> place.id & 1]
    lines.append(
        f"flag       {flag.state.name.lower()}"
        + (f", to copy: {', '.join(copied)}" if copied else "")
        + (f", floor {flag.floor}" if copied else "")
        + (f", dropped with status {flag.drop_reason}" if flag.drop_reason else "")
    )
    if progress.active:
        counts = [f"{name} {progress.chunks[place.id]}" for name, place in _counted(board, progress.chunks)]
        lines.append(
            f"download   of {progress.manifest_digest.hex()[:16]}, chunks complete: {', '.join(counts)}"
        )
    else:
        lines.append("download   none")
    lines += [f"problem    {problem}" for problem in state.problems]
    return "\n".join(lines)


def _set_in_words(label: str, found: InstalledSet | None) -> list[str]:
    if found is None:
        return [f"{label:<10} no manifest"]
    signature = {True: "signature good", False: "SIGNATURE WRONG", None: "signature not checked"}[
        found.signed
    ]
    lines = [f"{label:<10} sequence {found.manifest.sequence}, {signature}"]
    lines += [
        f"{'':<10} {item.name:<8} {format_version(item.module.version):<10} {item.module.image_size:>7} B  "
        f"{'in place' if item.matches else 'NOT IN PLACE'}"
        for item in found.modules
    ]
    return lines


def _counted(board: Board, chunks: tuple[int, ...]) -> list[tuple[str, Module]]:
    return [(name, place) for name, place in board.modules.items() if place.id < len(chunks)]
