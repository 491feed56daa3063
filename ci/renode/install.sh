#!/bin/sh
# Installs the pinned portable release of Renode into a folder of its own: install.sh FOLDER
# For Linux on x86-64. Idempotent: a folder that it has filled with the same release is left alone.
set -eu

# The release, and the SHA-256 of its archive. Other values come in together, by these variables.
#
# Where the sum is from: several public projects that do not depend on each other pin this one for this archive. Nobody of
# this project could download the release when it was written down here. If what arrives has another sum, nothing is
# installed; then hold both against the digest on the release's page, and change this line if that is right.
version=${RENODE_VERSION:-1.16.1}
sum=${RENODE_SHA256:-00e113cdbd0f5354cf2f64bbe3f5a070d8958409542fca66e45ac97d982938c0}
url=${RENODE_URL:-https://github.com/renode/renode/releases/download/v$version/renode-$version.linux-portable-dotnet.tar.gz}

fail() {
    echo "renode: $*" >&2
    exit 2
}

[ $# -eq 1 ] || fail "usage: install.sh FOLDER"
folder=$1
if [ -e "$folder" ]; then
    [ "$(cat "$folder/.brownout-sum" 2>/dev/null)" = "$sum" ] && exit 0
    fail "$folder: exists and holds something else: remove it, or name another folder"
fi
parent=$(dirname "$folder")
[ -d "$parent" ] || fail "$folder: its folder does not exist: create $parent first"
for tool in curl tar sha256sum; do
    command -v "$tool" >/dev/null || fail "$tool: not found: install it"
done

stage=$(mktemp -d "$parent/.renode.XXXXXX") || fail "$parent: cannot be written"
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
curl --fail --location --silent --show-error --retry 3 --output "$stage/archive" "$url" || fail "$url: cannot be downloaded"
found=$(sha256sum "$stage/archive" | cut -d ' ' -f 1)
[ "$found" = "$sum" ] || fail "$url: has SHA-256 $found, expected $sum"
mkdir "$stage/renode"
tar -xf "$stage/archive" -C "$stage/renode" --strip-components=1 || fail "$url: cannot be unpacked"
[ -x "$stage/renode/renode" ] || fail "$url: holds no program renode"
echo "$sum" >"$stage/renode/.brownout-sum"
mv "$stage/renode" "$folder"
echo "renode: $version is in $folder"
