"""The build's own tools: assets, version header, third-party fetch."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from storage_build import FIRMWARE

TOOLS = FIRMWARE / "tools"


def tool(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOLS / name), *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_assets_have_the_documented_header_and_depend_on_the_version_alone(tmp_path: Path) -> None:
    made = {}
    for name, version in (("a", "1.2.3"), ("b", "1.2.3"), ("c", "1.2.4")):
        assert tool("make_assets.py", "--version", version, "--output", tmp_path / name).returncode == 0
        made[name] = (tmp_path / name).read_bytes()
    content = made["a"]
    assert len(content) >= 16 * 1024
    assert content == made["b"]
    assert content[64:] != made["c"][64:]
    magic, layout, version_packed, count, offset, crc = struct.unpack_from("<4s5I", content)
    assert (magic, layout, version_packed, offset) == (b"ASST", 1, 0x01020003, 64)
    assert len(content) == offset + 4 * count
    assert crc == zlib.crc32(content[offset:])
    assert content[24:64] == b"\xff" * 40


def test_the_version_header_is_left_alone_when_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "build_version.h"
    assert tool("make_version.py", "--version", "1.0.7", "--output", path).returncode == 0
    assert '#define VERSION_STRING "1.0.7"' in path.read_text()
    os.utime(path, (1, 1))
    assert tool("make_version.py", "--version", "1.0.7", "--output", path).returncode == 0
    assert path.stat().st_mtime == 1
    assert tool("make_version.py", "--version", "1.0.8", "--output", path).returncode == 0
    assert path.stat().st_mtime != 1


@pytest.mark.parametrize("version", ["1.0", "01.0.0", "1.0.65536", "256.0.0", "v1.0.0", ""])
@pytest.mark.parametrize("name", ["make_version.py", "make_assets.py"])
def test_a_version_that_does_not_fit_is_refused(tmp_path: Path, name: str, version: str) -> None:
    done = tool(name, "--version", version, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "expected MAJOR.MINOR.PATCH" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_index_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    environment |= {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    done = tool("fetch_sources.py", "--output", tmp_path / "third_party", **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("fetch_sources: pip download of third_party.txt failed: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
