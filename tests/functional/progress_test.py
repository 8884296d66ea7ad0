"""scripts/progress tells how much of the build is left."""
# SPDX-License-Identifier: GPL-2.0-or-later

import importlib.machinery
import importlib.util
import pathlib

import harness


def load():
    loader = importlib.machinery.SourceFileLoader(
        "progress", str(harness.TOP / "scripts/progress"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("progress", loader))
    loader.exec_module(module)
    return module


class Remaining(harness.Case):
    def setUp(self):
        super().setUp()
        self.progress = load()

    def test_from_the_speed(self):
        first = {"QEMU": (0, 100), "kernel": (0, 100)}
        steps = {"QEMU": (40, 100), "kernel": (10, 100)}
        self.assertEqual(self.progress.remaining(steps, first, 60), 180)

    def test_without_what_was_built_already(self):
        first = {"QEMU": (0, 200), "kernel": (1220, 1220)}
        steps = {"QEMU": (50, 200), "kernel": (1220, 1220)}
        self.assertEqual(self.progress.remaining(steps, first, 60), 180)

    def test_not_known_yet(self):
        first = {"QEMU": (0, 100), "kernel": (0, 100)}
        for steps, elapsed in ((first, 60),
                               ({"QEMU": (50, 100), "kernel": (0, 100)}, 5),
                               ({"QEMU": (50, 100)}, 60)):
            self.assertIsNone(self.progress.remaining(steps, first, elapsed))

    def test_steps_are_read(self):
        self.file("QEMU", b"3 7")
        self.file("kernel", b"")
        self.assertEqual(self.progress.read_steps(pathlib.Path(self.dir)),
                         {"QEMU": (3, 7)})


if __name__ == "__main__":
    harness.main()
