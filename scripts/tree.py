"""The QEMU tree: Debian's source, with our patches and files on top.

Our files have the same paths in this repository and in QEMU's tree.
patches/series lists the logical changes: for each one a patch to QEMU's files,
our files that belong to it, and the files of QEMU that it removes.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess

from common import TOP, fail, lock, run, say

OVERLAY = ("configs", "contrib", "docs", "hw", "include", "tests", "util")
# These directories of tests/ do not exist in QEMU, so they are not copied.
OURS_ALONE = re.compile(r"tests/(functional/|data/|bench/.*\.py$)")
PATCHES = TOP / "patches"


VERSION = "10.0"


def series_lines():
    for line in (PATCHES / "series").read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].split()
        if line:
            yield PATCHES / line[0], line[1:]


def series():
    """The logical changes in order: (patch, paths of ours that belong)."""
    for patch, paths in series_lines():
        yield patch, [p for p in paths if not p.startswith("-")]


def removed_by(patch):
    """The files of QEMU that the change with this patch removes"""
    return [p[1:] for line_patch, paths in series_lines() for p in paths
            if line_patch == patch and p.startswith("-")]


def all_removed():
    """The files of QEMU that any change removes; ours may have the same paths.
    """
    return {name for patch, _ in series() for name in removed_by(patch)}


def overlay_files():
    """Our files that are copied into QEMU's tree, relative to the top."""
    for directory in OVERLAY:
        for path in sorted((TOP / directory).rglob("*")):
            name = path.relative_to(TOP).as_posix()
            if (path.is_file() and "__pycache__" not in path.parts
                    and not OURS_ALONE.match(name)):
                yield name


def change_of(name, changes):
    """The indexes of the changes that the file `name` belongs to."""
    return [i for i, (_, paths) in enumerate(changes)
            if any(name == p or (p.endswith("/") and name.startswith(p))
                   for p in paths)]


def patched_files(patch):
    """The files that a patch edits."""
    return re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(encoding="utf-8"),
                      re.M)


def run_patch(tree, patch):
    """Apply the hunks that fit `tree`.  Returns the result of patch(1)."""
    with open(patch, "rb") as f:
        return subprocess.run(
            ["patch", "-p1", "--force", "--fuzz=0", "--no-backup-if-mismatch",
             "--reject-file=-"], cwd=tree, stdin=f, capture_output=True,
            text=True, errors="replace", check=False)


def apply(tree, patch, name=None):
    """Apply a patch to `tree`.  On failure, the message names the hunks."""
    result = run_patch(tree, patch)
    if result.returncode:
        fail(f"{name or patch.name} does not apply:\n"
             + result.stdout + result.stderr)


def debian_patches(debian):
    """Debian's patches in order."""
    text = (debian / "patches" / "series").read_text(encoding="utf-8")
    for line in text.splitlines():
        name = line.partition("#")[0].strip()
        if name:
            yield debian / "patches" / name


def extract(archive, target, strip=1):
    run("tar", "-xf", archive, "-C", target, f"--strip-components={strip}")


def unpack_debian(sources, target, upstream_only=False):
    """Unpack Debian's source package in `sources` into `target`, with or
    without Debian's patches."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    extract(next(sources.glob("*.orig.tar.xz")), target)
    extract(next(sources.glob("*.debian.tar.xz")), target, strip=0)
    if not upstream_only:
        apply_debian(target)
    shutil.rmtree(target / "debian")


def apply_debian(target):
    for patch in debian_patches(target / "debian"):
        apply(target, patch, f"Debian's {patch.name}")


def version(tree):
    path = tree / "VERSION"
    return path.read_text(encoding="ascii", errors="replace").strip() \
        if path.is_file() else None


def check_version(tree, name=None):
    found = version(tree)
    if not found:
        fail(f"{name or tree} is not QEMU's source: it has no file VERSION")
    if not found.startswith(f"{VERSION}."):
        fail(f"{name or tree} is QEMU {found}, and the patches are for QEMU"
             f" {VERSION}")


def unpack_base(source, target):
    """Put the unpatched QEMU at `target`: from Debian's package (a directory
    with its files), from a tarball, or from a directory of the user."""
    if source.is_dir() and list(source.glob("*.dsc")):
        unpack_debian(source, target)
    elif source.is_dir():
        check_version(source)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True,
                        ignore=shutil.ignore_patterns(".git"))
    else:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        extract(source, target)
    check_version(target, source)
    # Debian's source as in its repository, with the patches not applied.
    # dpkg-source and quilt record in .pc which patches they have applied.
    if (target / "debian/patches/series").is_file() \
            and not (target / ".pc/applied-patches").is_file():
        apply_debian(target)


def write_if_changed(path, data, mode):
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        if path.stat().st_mode != mode:
            path.chmod(mode)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return True


def identity(source):
    """An identification of a source: the sizes and times of its files"""
    digest = hashlib.sha256(str(source).encode())
    files = [source] if source.is_file() else sorted(
        p for p in source.rglob("*")
        if ".git" not in p.relative_to(source).parts)
    for path in files:
        st = path.lstat()
        if not stat.S_ISDIR(st.st_mode):
            digest.update(f"{path} {st.st_size} {st.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def assemble(source, work):
    """Make or update the tree `work`/src from `source`.  Returns it.

    `work`/base is the unpatched QEMU.  Only files whose content changes are
    written, so a build of the tree repeats only the necessary steps.
    """
    work.mkdir(parents=True, exist_ok=True)
    base, tree, stamp = work / "base", work / "src", work / "base.stamp"
    if not source.exists():
        fail(f"{source} does not exist")
    with lock(work / "lock"):
        key = identity(source)
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
            stamp.unlink(missing_ok=True)
            say(f"unpacking QEMU from {source}")
            unpack_base(source, base)
            mirror(base, tree, ours(work))
            stamp.write_text(key, encoding="utf-8")
        update(base, tree, work)
    return tree


def mirror(base, tree, besides):
    """Make `tree` equal to `base`, except for some files."""
    for path in list(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if not path.is_dir() and name not in besides \
                and not os.path.lexists(base / name):
            path.unlink()
    for path in base.rglob("*"):
        name = path.relative_to(base).as_posix()
        if path.is_symlink():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).unlink(missing_ok=True)
            (tree / name).symlink_to(os.readlink(path))
        elif path.is_file() and name not in besides:
            write_if_changed(tree / name, path.read_bytes(),
                             path.stat().st_mode)


def ours(work):
    """The files of the tree that come from patches or from our directories"""
    listing = work / "ours"
    return set(listing.read_text(encoding="utf-8").splitlines()) \
        if listing.is_file() else set()


def update(base, tree, work):
    """Update `tree` to base with the current patches and our files."""
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    wanted = set()
    removed = all_removed()
    for patch, _ in series():
        for name in patched_files(patch):
            wanted.add(name)
            if not (scratch / name).exists() and (base / name).exists():
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(base / name, scratch / name)
        apply(scratch, patch)
    for name in overlay_files():
        if (base / name).exists() and name not in removed:
            fail(f"{name} is QEMU's own file: edit it with a patch")
        wanted.add(name)
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, scratch / name)

    for name in removed - wanted:
        (tree / name).unlink(missing_ok=True)
    for name in wanted:
        path = scratch / name
        write_if_changed(tree / name, path.read_bytes(), path.stat().st_mode)

    # A file that we no longer replace gets QEMU's content, or is removed.
    for name in ours(work) - wanted:
        if name in removed:
            (tree / name).unlink(missing_ok=True)
        elif (base / name).exists():
            path = base / name
            write_if_changed(tree / name, path.read_bytes(),
                             path.stat().st_mode)
        else:
            (tree / name).unlink(missing_ok=True)
    (work / "ours").write_text("\n".join(sorted(wanted | removed)),
                               encoding="utf-8")
    shutil.rmtree(scratch)
