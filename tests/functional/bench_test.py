"""scripts/bench: its table, how it marks rows, and its output without
upstream's programs"""
# SPDX-License-Identifier: GPL-2.0-or-later

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree

import harness

BENCH = harness.TOP / "scripts/bench"


def load_bench():
    """The script as a module.  It has no suffix, so import cannot find it."""
    sys.path.insert(0, str(BENCH.parent))
    loader = importlib.machinery.SourceFileLoader("bench", str(BENCH))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("bench", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


class Table(harness.Case):
    def lines(self, values, row="load 512 MiB", unit="passes"):
        """The table's lines for one row with these values, and its result"""
        bench = load_bench()
        samples = bench.Samples()
        for value in values:
            samples.add(row, unit, bench.OURS, value)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            busy = bench.table(samples)
        return out.getvalue().splitlines(), busy

    def test_median_and_spread(self):
        lines, busy = self.lines([1.0, 1.1, 1.04])
        self.assertRegex(lines[1], r"^load 512 MiB +passes +1\.04 +10 %")
        self.assertFalse(busy)

    def test_verdict(self):
        self.assertIn("within 1.1", self.lines([1.0, 1.04])[0][1])
        self.assertIn("above 1.1", self.lines([1.2, 1.21])[0][1])
        for value, words in ((1.3, "within 1.3"), (1.31, "above 1.3")):
            self.assertIn(words, self.lines(
                [value], "build, docker archive", "rootfs")[0][1])
        self.assertNotIn("within", self.lines([1.0], unit="s")[0][1])

    def test_no_verdict_on_a_busy_machine(self):
        for values in ([1.0, 1.2], [1.2, 1.5]):
            lines, busy = self.lines(values)
            self.assertTrue(busy)
            self.assertIn("busy", lines[1])
            self.assertNotRegex(lines[1], "within|above")

    def test_no_target(self):
        self.assertNotRegex(self.lines([1.0], row="load 3 MiB")[0][1],
                            "within|above|busy")


class Peer(harness.Case):
    def test_that_does_not_end(self):
        """Its figure is left out.  A program of ours has to end."""
        bench = load_bench()
        bench.TIMEOUT = 1
        peer = self.file("peer", b"#!/bin/sh\nexec sleep 100\n")
        peer.chmod(0o755)
        self.assertIsNone(bench.boot([peer], harness.HELLO))
        self.assertIsNone(bench.several([peer], 2))
        with contextlib.redirect_stderr(io.StringIO()) as err:
            bench.leave_out(bench.UPSTREAM, "it did not end")
        self.assertIn("upstream: it did not end within 1 s", err.getvalue())
        with self.assertRaisesRegex(SystemExit, "this: it did not end"):
            bench.leave_out(bench.OURS, "it did not end")


class Vsock(harness.Case):
    def test_rows(self):
        """The table of vsock-bench is understood."""
        program = harness.BUILD / "qemu/contrib/vhost-user-vsock/vsock-bench"
        table = subprocess.run(
            [program, "-m", "rate", "-s", "0.1", "-c", "1", harness.VSOCK,
             "/bin/false", harness.VSOCK], check=False, text=True,
            timeout=120, stdout=subprocess.PIPE).stdout
        (name, connections, medians), = load_bench().vsock_rows(table)
        self.assertEqual((name, connections), ("connections/s", 1))
        self.assertEqual(len(medians), 3)
        self.assertGreater(medians[0], 10)
        self.assertIsNone(medians[1])
        self.assertGreater(medians[2], 10)


class Run(harness.Case):
    def bench(self, *options, code=0):
        result = subprocess.run([BENCH, *options], check=False, text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=300)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def test_files_and_a_missing_peer(self):
        figures, plot = self.dir / "json", self.dir / "svg"
        manual = self.dir / "rst"
        result = self.bench("--rounds", "2", "--upstream", "/no/such/qemu -x",
                            "--vhost-device-vsock", "/no/such/backend",
                            "--json", figures, "--svg", plot, "--rst", manual,
                            "nsm")
        for name in ("/no/such/qemu", "/no/such/backend"):
            self.assertIn(f"{name}: not found: its column is left out",
                          result.stderr)
        written = json.loads(figures.read_text("utf-8"))
        self.assertEqual(written["rounds"], 2)
        rows = {row["row"]: row["columns"] for row in written["rows"]}
        for kind in ("DescribePCR", "ExtendPCR", "GetRandom", "Attestation",
                     "P-384 signature"):
            columns = rows[f"NSM {kind}"]
            self.assertEqual(list(columns), ["this"])
            self.assertEqual(len(columns["this"]["values"]), 2)
            self.assertGreater(columns["this"]["median"], 0)
            median = re.escape(f"{columns['this']['median']:.4g}")
            self.assertRegex(manual.read_text("utf-8"),
                             rf"\n   \* - NSM {kind}\n     - /s\n"
                             rf"     - {median} \(\d+ %\)\n"
                             r"     -( busy)?\n")
        self.assertTrue(xml.etree.ElementTree.parse(plot).getroot()
                        .tag.endswith("svg"))

    def test_bad_options(self):
        self.assertIn("boats: no such rows",
                      self.bench("boats", code=2).stderr)
        self.assertIn("--rounds 0: at least 1",
                      self.bench("--rounds", "0", code=2).stderr)
        self.assertIn("--other-image /no/such.eif: no such file",
                      self.bench("--other-image", "/no/such.eif", "boot",
                                 code=1).stderr)


if __name__ == "__main__":
    harness.main()
