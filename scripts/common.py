"""Helpers of the build scripts: caches, locks and errors."""
# SPDX-License-Identifier: GPL-2.0-or-later

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent


def cache_dir(name):
    """A directory of the user's cache, which is made if it does not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = pathlib.Path(base) / "qemu-nitro-enclave" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(path):
    """Hold the lock file `path`, so that only one process does the work."""
    with open(path, "w", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def fail(message):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def say(message):
    print(message, file=sys.stderr, flush=True)


def run(*command, **kwargs):
    """Run a command.  If it fails, the message has the command."""
    result = subprocess.run([str(c) for c in command], check=False, **kwargs)
    if result.returncode:
        fail(f"failed with status {result.returncode}: "
             + " ".join(str(c) for c in command))
    return result
