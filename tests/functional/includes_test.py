"""The includes in contrib/: a directory includes only lower ones, and headers
include the standard headers that they use."""
# SPDX-License-Identifier: GPL-2.0-or-later

import pathlib
import re

import harness

PROGRAM = harness.TOP / "contrib/qemu-nitro-cli"
# A directory, and the directories that its files may include
BELOW = {
    ".": {"commands", "support"},
    "commands": {"parent", "enclave", "image", "attestation", "support"},
    "parent": {"enclave", "image", "attestation", "support"},
    "enclave": {"image", "attestation", "support"},
    "image": {"support"},
    "attestation": {"support"},
    "support": set(),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


# Names of <algorithm> that are used here
ALGORITHM = (r"std::(ranges::(?!begin|end|size|data|range|\w+_range)\w+|"
             r"(min|max|clamp|sort|find|find_if|all_of|any_of|none_of|count|"
             r"count_if|copy|copy_if|equal|mismatch|search|transform|fill|"
             r"reverse|rotate|remove_if|replace|\w+_bound|\w+_element)"
             r"\s*[(<])")
# Names that headers use, and the standard headers that declare them.  In some
# versions of GCC, other headers also include these.
STANDARD = {
    "algorithm": ALGORITHM,
    "array": r"std::array\b",
    "chrono": r"std::chrono\b",
    "cstdint": r"\bu?int(8|16|32|64)_t\b",
    "deque": r"std::deque\b",
    "functional": r"std::function\b",
    "list": r"std::list\b",
    "map": r"std::map\b",
    "memory": r"std::(unique_ptr|shared_ptr|make_unique|make_shared)\b",
    "optional": r"std::(optional|nullopt)\b",
    "set": r"std::set\b",
    "span": r"std::span\b",
    "string": r"std::(string|to_string)\b",
    "string_view": r"std::string_view\b",
    "thread": r"std::thread\b",
    "utility": r"std::(move|exchange|pair|swap|forward)\b",
    "vector": r"std::vector\b",
}


def missing_includes(text, among=tuple(STANDARD)):
    """The standard headers that a file needs and does not include"""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return [name for name, used in STANDARD.items() if name in among
            and re.search(used, code) and f"#include <{name}>" not in code]


def wrong_includes(program):
    """A line for each include that is not allowed"""
    for path in sorted(program.rglob("*")):
        if path.suffix not in (".cc", ".hh", ".c", ".h"):
            continue
        name = path.relative_to(program)
        directory = name.parent.as_posix()
        for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
            other = pathlib.PurePath(included).parent.as_posix()
            if directory not in BELOW:
                yield f"{name}: {directory} is not in this test's list"
            elif not (program / included).exists():
                # A file of QEMU or of contrib/nitro-common
                if (path.parent / included).exists():
                    yield f"{name}: {included} is not a path from the top"
            elif other not in BELOW[directory] | {directory}:
                yield f"{name} includes {included}"


class Includes(harness.Case):
    def write(self, name, text):
        (self.dir / name).parent.mkdir(exist_ok=True)
        (self.dir / name).write_text(text, encoding="utf-8")

    def test_go_down_only(self):
        self.assertTrue(list(PROGRAM.rglob("*.hh")))
        self.assertEqual(list(wrong_includes(PROGRAM)), [])

    def test_what_is_found(self):
        for name, text, good in (
                ("image/a.cc", '#include "support/b.hh"\n', True),
                ("image/a.cc", '#include "qemu/osdep.h"\n', True),
                ("image/a.cc", '#include "image/a.hh"\n', True),
                ("image/a.cc", '#include "enclave/b.hh"\n', False),
                ("image/a.cc", '# include "attestation/b.hh"\n', False),
                ("image/a_test.cc", '#include "commands/b.hh"\n', False),
                ("support/a.hh", '#include "image/a.hh"\n', False),
                ("image/a.cc", '#include "a.hh"\n', False),
                ("other/a.cc", '#include "support/b.hh"\n', False)):
            with self.subTest(f"{name}: {text}"):
                for other in ("support/b", "enclave/b", "attestation/b",
                              "commands/b", "image/a"):
                    self.write(other + ".hh", "")
                self.write(name, text)
                self.assertEqual(not list(wrong_includes(self.dir)), good)
                (self.dir / name).unlink()

    def test_standard(self):
        headers = list((harness.TOP / "contrib").rglob("*.hh"))
        self.assertGreater(len(headers), 50)
        for header in headers:
            self.assertEqual(missing_includes(header.read_text("utf-8")), [],
                             header)
        # Other files have the types from their headers.
        sources = list((harness.TOP / "contrib").rglob("*.cc"))
        self.assertGreater(len(sources), 100)
        for source in sources:
            self.assertEqual(missing_includes(source.read_text("utf-8"),
                                              ("algorithm",)), [], source)
        self.assertEqual(missing_includes("std::min<int>({1, 2, 3});"),
                         ["algorithm"])
        self.assertEqual(missing_includes("std::span<const uint8_t> f();"),
                         ["cstdint", "span"])
        self.assertEqual(missing_includes("/* std::span */"), [])

    def test_manual(self):
        """The README has the same table."""
        rows = re.findall(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|$",
                          (PROGRAM / "README.md").read_text(), re.M)
        listed = {name: set(re.findall(r"`(\w+)/`", below))
                  for name, below in rows}
        listed["commands"] = set(listed) - {"commands"}
        self.assertEqual(listed, {name: below for name, below in BELOW.items()
                                  if name != "."})


if __name__ == "__main__":
    harness.main()
