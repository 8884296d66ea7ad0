# Sourced by run and check: install missing packages, and set up the build.
# SPDX-License-Identifier: GPL-2.0-or-later

# Install the missing packages of these lists in scripts/.  An entry
# PACKAGE|COMMAND is not missing if the command exists: another package, with
# which Debian's package conflicts, may have it.
install_dependencies() {
    missing=
    for p in $(cd "$top/scripts" && sed 's/#.*//' "$@"); do
        case $p in
        *'|'*) ! command -v "${p#*|}" > /dev/null || continue ;;
        esac
        p=${p%|*}
        dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
            grep -q '^install ok installed$' || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "These packages are missing; install them and try again:" >&2
        echo "  sudo apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "installing$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >&2
    # shellcheck disable=SC2086 # a list of words
    apt-get -q install -y --no-install-recommends $missing >&2
}

# Build in $build, and show the progress.  With "programs", build only the
# programs, without the tests.
build_project() {
    PATH="/usr/bin:/bin:$PATH"
    export PATH
    if [ ! -f "$build/build.ninja" ]; then
        tests=true
        [ "${1-}" != programs ] || tests=false
        meson setup "-Dtests=$tests" "$build" "$top" >&2
    elif [ "${1-}" != programs ] && [ ! -e "$build/with-tests" ]; then
        # An older build directory does not have this option yet: set it first.
        ninja -C "$build" build.ninja >&2
        meson configure "$build" -Dtests=true >&2
    fi
    [ "${1-}" = programs ] || touch "$build/with-tests"
    "$top/scripts/progress" "$build" ninja -C "$build"
}
