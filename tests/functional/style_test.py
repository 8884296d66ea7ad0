"""The repository follows .editorconfig and .codespellrc."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import tree  # noqa: E402 (its directory is known only now)

OURS_ALONE = ("scripts", "guest", "debian", "patches", "pictures", ".ci", "ci")
# Corpora of the fuzz targets, and files of other projects
DATA = re.compile(r"tests/data/|LICENSE")
C_FILES = re.compile(r"\.(c|h|cc|hh)$")
# A line that a program prints, as a string on its own line
PRINTED = re.compile(r'\s*"(.*)\\n"[;,]?')


def texts():
    """The text files of the repository: (name, text)"""
    names = list(tree.overlay_files())
    for directory in OURS_ALONE:
        names += [path.relative_to(harness.TOP).as_posix()
                  for path in sorted((harness.TOP / directory).rglob("*"))
                  if path.is_file() and "__pycache__" not in path.parts]
    names += [path.name for path in sorted(harness.TOP.iterdir())
              if path.is_file()]
    for name in names:
        if not DATA.match(name):
            try:
                yield name, (harness.TOP / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                pass


class Style(harness.Case):
    def test_lines(self):
        """As in checkpatch: at most 80 columns, and no blanks at the end of a
        line"""
        def width(line):
            printed = PRINTED.fullmatch(line)
            return len(printed[1] if printed else line)

        found = []
        for name, text in texts():
            for number, line in enumerate(text.splitlines(), 1):
                if (C_FILES.search(name) and width(line) > 80) or (
                        not name.endswith(".patch") and line != line.rstrip()):
                    found.append(f"{name}:{number}: {line}")
            if text and not text.endswith("\n"):
                found.append(f"{name}: no line end at its end")
        self.assertEqual(found, [], '\n'.join(found))

    def test_spelling(self):
        names = [name for name, _ in texts()]
        self.assertGreater(len(names), 200)
        result = subprocess.run(
            ["codespell", "--config", ".codespellrc", "--quiet-level=35",
             *names], cwd=harness.TOP, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.assertEqual((result.returncode, result.stdout), (0, ""))


if __name__ == "__main__":
    harness.main()
