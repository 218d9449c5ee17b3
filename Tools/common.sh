# Functions that the scripts of this folder share. Sourced, not run.
# shellcheck shell=bash

# The Debian packages that building needs in addition to a Swift toolchain: those of an unpacked toolchain, then those
# that Letter links.
BUILD_PACKAGES=(
    binutils ca-certificates gcc git libc6-dev libcurl4 libncurses6 libstdc++-12-dev libxml2 pkg-config tzdata zlib1g-dev
    liblmdb-dev libopenblas-dev libsqlite3-dev libxxhash-dev
)

# The packages that the tests need in addition. Debian's own Python runs the plain writer and the oracle of the end-to-end
# tests; strace injects faults into system calls.
# shellcheck disable=SC2034
TEST_PACKAGES=(python3 python3-lmdb python3-numpy strace util-linux)

# Prints a heading.
heading() {
    if [ -t 1 ]; then printf '\n\033[1m== %s\033[0m\n' "$*"; else printf '\n== %s\n' "$*"; fi
}

# Prints an error message and ends the script.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Installs those of the given Debian packages that are missing.
install_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null || fail "this system is not Debian; install the equivalents of: $*"
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        echo "Debian packages: all installed"
        return
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo; as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    echo "installing ${missing[*]}"
    # A package source that does not answer must not end the script; the installation below decides.
    "${as_root[@]}" apt-get update -qq || echo "apt-get update reported errors; continuing" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        </dev/null >/dev/null || fail "apt-get could not install ${missing[*]}"
}

# Ends the script unless Swift 6.3 or later is installed.
check_swift() {
    command -v swift >/dev/null || fail "no Swift on the PATH; install a toolchain of 6.3 or later from swift.org"
    local version
    version=$(swift --version | sed -n 's/.*Swift version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1) || true
    [ -n "$version" ] || fail "'swift --version' prints no version; is the toolchain complete?"
    if [ "$(printf '%s\n' 6.3 "$version" | sort -V | head -n 1)" != 6.3 ]; then
        fail "Swift $version is too old; 6.3 or later is needed"
    fi
    echo "Swift $version"
}
