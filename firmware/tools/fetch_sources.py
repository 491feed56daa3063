"""Takes the firmware's third-party C sources from pinned Python source distributions.

pip downloads the sdists by name and checks their hashes (third_party.txt); only the files that the build
needs, and their licences, are extracted. The output directory is replaced as a whole, and left alone when it
is up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("third_party.txt")
STAMP = "stamp"
DOWNLOAD_TIMEOUT_S = 300

# sdist -> {path inside it, below its first folder: path in the output directory}
FILES = {
    "pymonocypher": {
        "monocypher.c": "monocypher/monocypher.c",
        "monocypher.h": "monocypher/monocypher.h",
        "LICENSE.txt": "monocypher/LICENSE.txt",
    },
    "zcbor": {
        "include/zcbor_common.h": "zcbor/include/zcbor_common.h",
        "include/zcbor_decode.h": "zcbor/include/zcbor_decode.h",
        "include/zcbor_encode.h": "zcbor/include/zcbor_encode.h",
        "include/zcbor_print.h": "zcbor/include/zcbor_print.h",
        "include/zcbor_tags.h": "zcbor/include/zcbor_tags.h",
        "src/zcbor_common.c": "zcbor/src/zcbor_common.c",
        "src/zcbor_decode.c": "zcbor/src/zcbor_decode.c",
        "src/zcbor_encode.c": "zcbor/src/zcbor_encode.c",
        "LICENSE": "zcbor/LICENSE",
    },
}


class FetchError(Exception):
    """The sources could not be provided; the text is one line for the user."""


def wanted_stamp() -> str:
    """Return what the stamp says when the output directory was made by this version of pins and tool."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes())
    return digest.hexdigest() + "\n"


def is_current(output: Path) -> bool:
    """Return whether `output` has all files and was made from these pins."""
    try:
        stamp = (output / STAMP).read_text()
    except OSError:
        return False
    targets = (output / target for files in FILES.values() for target in files.values())
    return stamp == wanted_stamp() and all(target.is_file() for target in targets)


def download(folder: Path) -> None:
    """Download the sdists into `folder`, hashes checked by pip. Raises FetchError."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # The sources of these packages, but wheels of what pip wants for their metadata (Cython): building
    # that from source would need Python's headers.
    command += [
        "--no-binary",
        ",".join(FILES),
        "--require-hashes",
        "-r",
        str(REQUIREMENTS),
        "--dest",
        str(folder),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip download took more than {DOWNLOAD_TIMEOUT_S} s; check the network") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        errors = (
            [line.strip() for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no reason given"]
        )
        raise FetchError(
            f"pip download of {REQUIREMENTS.name} failed: {errors[0]}; check network and package index"
        ) from error


def extract(archive: Path, files: dict[str, str], output: Path) -> None:
    """Write the chosen members of `archive` below `output`. Raises FetchError when one is missing."""
    with tarfile.open(archive) as tar:
        for member, target in files.items():
            name = f"{archive.name.removesuffix('.tar.gz')}/{member}"
            try:
                stream = tar.extractfile(name)
            except KeyError:
                stream = None
            if stream is None:
                raise FetchError(f"{archive.name} has no {member}; the pin and fetch_sources.py disagree")
            path = output / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stream.read())


def replace_directory(fresh: Path, output: Path, scratch: Path) -> None:
    """Put `fresh` in the place of `output`, which never exists half-written."""
    old = scratch / "old"
    if output.exists():
        output.rename(old)
    try:
        fresh.rename(output)
    except OSError:
        # Somebody else was quicker: theirs is as good when it is complete.
        if not is_current(output):
            raise


def fetch(output: Path) -> None:
    """Provide the sources in `output`. Raises FetchError."""
    if is_current(output):
        os.utime(output / STAMP)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".third_party-", dir=output.parent))
    try:
        sdists, fresh = scratch / "sdists", scratch / "fresh"
        sdists.mkdir()
        fresh.mkdir()
        download(sdists)
        for package, files in FILES.items():
            archives = sorted(sdists.glob(f"{package}-*.tar.gz"))
            if len(archives) != 1:
                raise FetchError(f"pip download gave {len(archives)} sdists of {package}, expected one")
            extract(archives[0], files, fresh)
        (fresh / STAMP).write_text(wanted_stamp())
        if not is_current(output):  # another build may have been quicker
            replace_directory(fresh, output, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> int:
    """Run the command line; the exit code is 2 for every failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="gets monocypher/ and zcbor/")
    output: Path = parser.parse_args().output
    try:
        fetch(output.absolute())
    except (FetchError, OSError, tarfile.TarError) as error:
        print(f"fetch_sources: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
