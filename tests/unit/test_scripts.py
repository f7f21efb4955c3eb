#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the scripts compute: counts of test runs, numbers out of the load tools' output, rows and the plot."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

SCRIPTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts")
sys.path.insert(0, os.path.join(SCRIPTS, "bench.d"))
import report  # noqa: E402
import workloads  # noqa: E402


class CountResults(unittest.TestCase):
    def count(self, *tests):
        with tempfile.NamedTemporaryFile("w") as log:
            for t in tests:
                log.write(json.dumps(t) + "\n")
            log.flush()
            out = subprocess.run([sys.executable, os.path.join(SCRIPTS, "count-results"), log.name],
                                 capture_output=True, text=True, check=True)
        return [int(x) for x in out.stdout.split()]

    def test_programs_without_a_count_are_one_case(self):
        self.assertEqual(self.count({"result": "OK"}, {"result": "FAIL"}, {"result": "SKIP"}, {"result": "TIMEOUT"}),
                         [1, 2, 1])

    def test_criterion_tells_its_cases(self):
        text = "[\x1b[0;34m====\x1b[0m] Synthesis: Tested: \x1b[0;34m7\x1b[0m | Passing: 4 | Failing: 2 | Crashing: 1\n"
        self.assertEqual(self.count({"result": "FAIL", "stderr": text}), [4, 3, 0])

    def test_plain_lines_tell_their_cases(self):
        self.assertEqual(self.count({"result": "OK", "stdout": "x\n12 passed, 0 failed, 3 skipped\n"}), [12, 0, 3])

    def test_a_failed_program_is_never_all_passed(self):
        self.assertEqual(self.count({"result": "FAIL", "stdout": "5 passed, 0 failed\n"}), [5, 1, 0])


class Packages(unittest.TestCase):
    """packages_install of lib.sh, with programs of our own in place of apt-get and the like."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.policy = os.path.join(self.dir.name, "policy-rc.d")
        self.program("dpkg-query", '[ "$4" != here ] || printf installed')
        self.program("id", "echo 0")
        for name in "sleep", "dpkg", "systemctl":
            self.program(name, "true")
        self.program("apt-get", "test -x %s" % self.policy)

    def program(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w") as f:
            f.write('#!/bin/sh\necho "%s $*" >>%s/calls\n%s\n' % (name, self.dir.name, text))
        os.chmod(path, 0o755)

    def install(self, *names):
        """(status, stdout, stderr, calls of our programs but dpkg-query)"""
        text = '. "$0"; policy_rc_d=%s; packages_install "$@"; say done' % self.policy
        r = subprocess.run(["bash", "-euc", text, os.path.join(SCRIPTS, "lib.sh"), *names], capture_output=True, text=True,
                           env={"PATH": self.dir.name + ":/usr/bin:/bin", "TMPDIR": self.dir.name})
        with open(os.path.join(self.dir.name, "calls")) as f:
            calls = [line for line in f.read().splitlines() if not line.startswith("dpkg-query")]
        return r.returncode, r.stdout, r.stderr, calls

    def test_nothing_missing_asks_nobody(self):
        self.assertEqual(self.install("here", "here"), (0, "done\n", "", []))

    def test_only_what_is_missing_and_the_policy_goes_again(self):
        status, out, _, calls = self.install("here", "far", "away")
        self.assertEqual(status, 0)
        self.assertRegex(out, "Installing 2 packages .*: far away\ndone\n")
        self.assertEqual(sum(c.startswith("apt-get") for c in calls), 2)
        self.assertTrue([c for c in calls if c.endswith(" install far away")])
        self.assertFalse(os.path.exists(self.policy))
        self.assertFalse([name for name in os.listdir(self.dir.name) if name.startswith("shunt-packages")])

    def test_somebody_elses_policy_stays(self):
        self.program("policy-rc.d", "exit 101")
        self.assertEqual(self.install("far")[0], 0)
        self.assertTrue(os.path.exists(self.policy))

    def test_a_flaky_mirror_is_asked_again(self):
        self.program("apt-get", 'case "$*" in *install*) [ -e %s/again ] || { touch %s/again; exit 100; } ;; esac' %
                     (self.dir.name, self.dir.name))
        status, _, _, calls = self.install("far")
        self.assertEqual((status, sum(" install " in c for c in calls)), (0, 2))

    def test_a_failure_ends_the_script_with_what_apt_said(self):
        self.program("apt-get", "echo E: no such package; exit 100")
        status, out, err, _ = self.install("far")
        self.assertEqual(status, 1)
        self.assertNotIn("done", out)
        self.assertIn("E: no such package", err)
        self.assertFalse(os.path.exists(self.policy))

    def test_without_root_it_says_what_is_missing(self):
        self.program("id", "echo 1000")
        status, _, err, calls = self.install("here", "far")
        self.assertEqual((status, calls), (1, ["id -u"]))
        self.assertIn("far", err)


class Parse(unittest.TestCase):
    def test_wrk(self):
        text = "  1000 requests in 2.00s, 1MB read\n  Socket errors: connect 0, read 3, write 0, timeout 1\nRequests/sec:    499.50\n"
        self.assertEqual(workloads.WORKLOADS["nginx-1k"].parse(text), (499.5, 1000, "connect 0, read 3, write 0, timeout 1"))

    def test_wrk_with_wrong_answers_is_no_result(self):
        with self.assertRaises(ValueError):
            workloads.WORKLOADS["nginx-1k"].parse("  9 requests in 2.00s\n  Non-2xx or 3xx responses: 9\nRequests/sec: 4\n")

    def test_redis_benchmark_counts_by_the_last_rate(self):
        w = workloads.WORKLOADS["redis-get"]
        w.client(1)
        rate, requests, _ = w.parse('"test","rps"\n"GET","250000.00","0.1"\n')
        self.assertEqual((rate, requests), (250000.0, 100000))
        self.assertIn("500000", w.client(2))

    def test_iperf3(self):
        w = workloads.WORKLOADS["iperf3"]
        self.assertEqual(w.parse('{"end": {"sum_received": {"bits_per_second": 2.5e9}}}')[0], 2.5)
        with self.assertRaises(ValueError):
            w.parse('{"error": "unable to connect"}')

    def test_all_workloads_of_the_manual_exist(self):
        self.assertEqual(list(workloads.WORKLOADS),
                         ["nginx-return200", "nginx-1k", "nginx-64k", "nginx-1m", "nginx-close", "redis-get", "redis-set",
                          "redis-get-p16", "iperf3", "iperf3-reverse", "memcached-get"])


class Rows(unittest.TestCase):
    rows = [report.make_row("redis-get", "pair", "offloads on", "requests/s", [1.0, 2.0, 3.0], [4.0, 6.0, 5.0]),
            report.make_row("iperf3", "pair", "offloads on", "Gb/s", [9.0], [], "shunt failed 2 times")]

    def test_medians_and_ratio(self):
        row = self.rows[0]
        self.assertEqual((row["kernel"], row["shunt"], row["ratio"]), (2.0, 5.0, 2.5))
        self.assertEqual(row["runs"], {"kernel": [1.0, 2.0, 3.0], "shunt": [4.0, 6.0, 5.0]})

    def test_a_side_without_samples_has_no_ratio(self):
        self.assertEqual((self.rows[1]["shunt"], self.rows[1]["ratio"]), (None, None))
        self.assertIn("failed", report.table(self.rows).splitlines()[-1])

    def test_table_shows_spread(self):
        self.assertRegex(report.table(self.rows), r"redis-get .* 2\.00 +±50% +5\.00 +±20% +2\.50")

    def test_plot_is_well_formed(self):
        with tempfile.NamedTemporaryFile("r", suffix=".svg") as f:
            report.write_svg(self.rows, f.name, "a < b", ["note & note"])
            self.assertEqual(xml.dom.minidom.parse(f.name).documentElement.tagName, "svg")


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    bad = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - bad, bad))
    sys.exit(1 if bad else 0)
