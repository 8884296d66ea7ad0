"""The exported series applies, and gives the tree that was built and tested.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import shutil
import subprocess

import harness
from series import Series, tree

# What a page of the manual refers to: another page, a file, or a list of pages
PAGE = re.compile(r":doc:`(?:[^`<]*<)?([^`<>]+)>?`")
INCLUDED = re.compile(r"^ *\.\. (?:literal)?include:: (\S+)", re.M)
TOCTREE = re.compile(r"^( *)\.\. toctree::.*\n((?:\1 +\S.*\n|\s*\n)+)", re.M)


def missing_documents(docs):
    """References in the manual to what is not there: (page, reference)"""
    missing = set()

    def check(page, reference, suffix=""):
        path = docs / reference[1:] if reference.startswith("/") \
            else page.parent / reference
        if not (path.exists() or path.with_name(path.name + suffix).exists()):
            missing.add((page.relative_to(docs).as_posix(), reference))

    for page in docs.rglob("*.rst"):
        text = page.read_text(encoding="utf-8")
        for name in PAGE.findall(text):
            check(page, name, ".rst")
        for name in INCLUDED.findall(text):
            check(page, name)
        for _, lines in TOCTREE.findall(text):
            for line in lines.splitlines():
                name = re.sub(r"^.*<(.*)>$", r"\1", line.strip())
                if name and not name.startswith(":"):
                    check(page, name, ".rst")
    return missing


class Applied(Series):
    def test_debian_is_what_is_built(self):
        where, _ = self.applied("debian")
        built = harness.BUILD / "qemu-tree/src"
        names = self.run_ok("git", "diff", "--name-only",
                            f"HEAD~{len(list(tree.series()))}", cwd=where)
        self.assertGreater(len(names.split()), 10)
        for name in names.split():
            self.assertEqual((where / name).exists(), (built / name).exists(),
                             name)
            if (where / name).exists():
                self.assertEqual((where / name).read_bytes(),
                                 (built / name).read_bytes(), name)

    def test_upstream_and_checkpatch(self):
        where, patches = self.applied("upstream")
        for patch in patches:
            out = self.run_ok("scripts/checkpatch.pl", "--quiet", patch,
                              cwd=where)
            self.assertEqual(out, "", patch.name)
        authors = self.run_ok("git", "log", "--format=%an <%ae>",
                              f"-{len(patches)}", cwd=where)
        self.assertEqual(set(authors.splitlines()), {"A <a@example.org>"})
        for patch in patches:
            self.assertIn("\nSigned-off-by: A <a@example.org>\n",
                          patch.read_text(), patch.name)

    def test_documents(self):
        """After each patch, the manual refers only to what is there."""
        where, patches = self.applied("upstream")
        last = self.run_ok("git", "rev-parse", "HEAD", cwd=where).strip()
        found = None
        for left in range(len(patches), -1, -1):
            self.run_ok("git", "checkout", "-q", f"{last}~{left}", cwd=where)
            missing = missing_documents(where / "docs")
            if found is None:
                found = missing         # of QEMU's own
            self.assertEqual(missing - found, set(),
                             patches[len(patches) - left - 1].name)

    def test_without_programs(self):
        """The series for upstream does not contain the programs beside QEMU.
        """
        out = self.dir / "out"
        self.run_ok(harness.TOP / "scripts/export-series", out)
        patches = sorted(out.glob("*.patch"))[1:]
        self.assertGreater(len(patches), 8)
        for patch in patches:
            text = patch.read_text()
            self.assertNotIn("+++ b/contrib/", text, patch.name)
            self.assertNotIn("+++ b/tests/fuzz/", text, patch.name)

    def test_edited_as_commits(self):
        """Patches that become commits and are saved again do not change."""
        top = self.dir / "top"
        for name in ("scripts", "patches"):
            shutil.copytree(harness.TOP / name, top / name)
        edit = top / "scripts/edit-patches"
        self.run_ok(edit, self.dir / "commits")
        for patch, _ in tree.series():
            path = top / "patches" / patch.name
            path.write_text(path.read_text().partition("\n---\n")[0])
        self.run_ok(edit, "--save", self.dir / "commits")
        for patch, _ in tree.series():
            self.assertEqual((top / "patches" / patch.name).read_text(),
                             patch.read_text(), patch.name)

    def test_every_file_is_in_one_change(self):
        changes = list(tree.series())
        for name in tree.overlay_files():
            self.assertEqual(len(tree.change_of(name, changes)), 1, name)


class Drift(harness.Case):
    """scripts/drift lists each hunk that does not fit another QEMU."""

    def drift(self, *source):
        return subprocess.run([harness.TOP / "scripts/drift", *source],
                              check=False, text=True, timeout=800,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_changed_tree(self):
        """One edited line and one missing file: exactly these two are listed.
        """
        base = harness.BUILD / "qemu-tree/base"
        names = {n for patch, _ in tree.series()
                 for n in tree.patched_files(patch)} | tree.all_removed()
        for name in ["VERSION", *names]:
            if (base / name).exists():
                (self.dir / "qemu" / name).parent.mkdir(parents=True,
                                                        exist_ok=True)
                shutil.copy2(base / name, self.dir / "qemu" / name)
        result = self.drift(self.dir / "qemu")
        self.assertEqual((result.returncode, len(result.stdout.splitlines())),
                         (0, 1), result.stdout)
        rtc = self.dir / "qemu/include/system/rtc.h"
        rtc.write_text(rtc.read_text().replace("qemu_timedate_diff(struct tm *",
                                               "qemu_timedate_diff(tm *"))
        (self.dir / "qemu/hw/virtio/cbor-helpers.c").unlink()
        result = self.drift(self.dir / "qemu")
        self.assertEqual(result.returncode, 1)
        lines = result.stdout.splitlines()[1:]
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("include/system/rtc.h: Hunk #1 FAILED", lines[0])
        self.assertIn("hw/virtio/cbor-helpers.c", lines[1])

    def test_newest(self):
        """The newest QEMU of Debian's archive: the log has what does not
        apply."""
        result = self.drift()
        if "is not available" in result.stderr:
            self.skipTest(result.stderr.strip().splitlines()[-1])
        for line in result.stdout.splitlines():
            print(f"# {line}")
        self.assertIn(result.returncode, (0, 1), result.stderr)
        self.assertRegex(result.stdout, r"^QEMU \d+\.\d+\.\d+: ")


if __name__ == "__main__":
    harness.main()
