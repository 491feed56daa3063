"""`fieldlink release`."""

from pathlib import Path

import click

from fieldlink.atomic import PUBLIC_MODE, read_input, write_file
from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyUse, load_private_key
from fieldlink.layout import Layout, load_layout
from fieldlink.publish import ModuleImage, describe_release, publish_release
from fieldlink.store import ReleaseRecord, Store
from fieldlink.version import format_version


@click.group()
def release() -> None:
    """Publish, list and export releases.

    \b
    Examples:
      fieldlink release list --store store
      fieldlink release export --store store --board mps2-an385 --sequence 1 --output release-1.manifest
    """


@release.command()
@store_option
@database_option
@click.option("--board", required=True, help="Board that the release is for.")
@click.option("--sequence", required=True, type=int, help="Security counter: higher than any before.")
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="Release key file.")
@click.option(
    "--layout",
    "layout_path",
    required=True,
    type=click.Path(path_type=Path),
    help="TOML file with the board's module regions.",
)
@click.option("--module", "modules", multiple=True, required=True, metavar="NAME:VERSION:FILE")
@click.option("--depends", "dependencies", multiple=True, metavar="NAME:OTHER>=VERSION")
@json_option
def publish(
    store_path: Path,
    database_url: str | None,
    board: str,
    sequence: int,
    key_path: Path,
    layout_path: Path,
    modules: tuple[str, ...],
    dependencies: tuple[str, ...],
    as_json: bool,
) -> None:
    """Sign, encrypt and publish a complete set of modules.

    Devices see the whole release or nothing of it.

    \b
    Examples:
      fieldlink release publish --store store --board mps2-an385 --sequence 2 \\
          --key keys/release.key --layout layout.toml \\
          --module kernel:1.1.0:kernel.bin --module app:1.1.0:app.bin \\
          --module assets:1.0.0:assets.bin --depends "app:kernel>=1.1.0"
    """
    key = load_private_key(key_path, KeyUse.RELEASE)
    layout = load_layout(layout_path)
    images = _images(layout, modules, _dependencies(dependencies))
    with Store.open(store_path, create=True, database_url=database_url) as store:
        published = publish_release(
            store, board=board, sequence=sequence, release_key=key, layout=layout, images=images
        )
    text = f"published {board} release {sequence}: {_module_list(published)}"
    say(as_json, describe_release(published), text)


@release.command(name="list")
@store_option
@database_option
@click.option("--board", help="Only this board's releases.")
@json_option
def list_releases(store_path: Path, database_url: str | None, board: str | None, as_json: bool) -> None:
    """List releases, after checking every blob.

    \b
    Examples:
      fieldlink release list --store store --json
    """
    with Store.open(store_path, database_url=database_url) as store:
        store.verify()
        found = [item for item in store.list_releases() if board in (None, item.board)]
    lines = [f"{item.board}  {item.sequence}  {_module_list(item)}" for item in found]
    say(as_json, [describe_release(item) for item in found], "\n".join(lines) or "no releases")


@release.command()
@store_option
@database_option
@click.option("--board", required=True, help="Board that the release is for.")
@click.option("--sequence", required=True, type=int, help="Which release.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="File for the manifest.")
@json_option
def export(
    store_path: Path, database_url: str | None, board: str, sequence: int, output: Path, as_json: bool
) -> None:
    """Write a release's signed manifest, as a factory image needs it.

    \b
    Examples:
      fieldlink release export --store store --board mps2-an385 --sequence 1 --output release-1.manifest
    """
    with Store.open(store_path, database_url=database_url) as store:
        for item in store.list_releases():
            if (item.board, item.sequence) == (board, sequence):
                break
        else:
            raise ConfigError(
                f"store {store_path} has no release {sequence} of board {board}; see fieldlink release list"
            )
    try:
        write_file(output, item.envelope, mode=PUBLIC_MODE, replace=True)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written: {error.strerror}") from error
    fields = {"board": board, "sequence": sequence, "output": str(output), "bytes": len(item.envelope)}
    say(as_json, fields, f"signed manifest of {board} release {sequence} in {output}")


def _module_list(item: ReleaseRecord) -> str:
    return ", ".join(f"{module.name} {format_version(module.version)}" for module in item.modules)


def _dependencies(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, colon, needed = text.partition(":")
        other, relation, version = needed.partition(">=")
        if not (colon and relation and name and other and version):
            raise ConfigError(f"--depends {text!r}: expected NAME:OTHER>=VERSION, such as app:kernel>=1.1.0")
        found.setdefault(name.strip(), {})[other.strip()] = version.strip()
    return found


def _images(
    layout: Layout, texts: tuple[str, ...], dependencies: dict[str, dict[str, str]]
) -> list[ModuleImage]:
    images = []
    for text in texts:
        name, version, path = [*text.split(":", 2), "", ""][:3]
        if not (name and version and path):
            raise ConfigError(f"--module {text!r}: expected NAME:VERSION:FILE, such as app:1.0.0:app.bin")
        region = layout.find(name)
        image = read_input(Path(path), f"module {name}: image", region.region_size)
        images.append(
            ModuleImage(name=name, version=version, image=image, dependencies=dependencies.get(name, {}))
        )
    unknown = set(dependencies) - {image.name for image in images}
    if unknown:
        raise ConfigError(f"--depends names {', '.join(sorted(unknown))}, which no --module gives")
    return images
