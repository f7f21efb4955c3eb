#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""PostgreSQL under Shunt: a process forked for each connection, pgbench's loads, and results that add up."""
import glob
import os
import re
import signal
import sys

import lib
from lib import check, check_equal, limit

PORT = 5432
# Sizes for a machine that does other things too; shared memory of its own, not the system's.
SETTINGS = {"listen_addresses": "0.0.0.0", "port": PORT, "shared_buffers": "16MB", "fsync": "off", "max_connections": 60,
            "unix_socket_directories": "", "dynamic_shared_memory_type": "mmap", "autovacuum": "off"}


def program(name):
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name))
    if not found:
        raise lib.Skipped("%s is not installed" % name)
    return found[-1]


def as_nobody(*capabilities):
    """PostgreSQL refuses to run as root; a link needs capabilities, as systemd's AmbientCapabilities= gives them."""
    caps = ",".join("+" + c for c in capabilities) or "-all"
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=" + caps, "--ambient-caps=" + caps]


def postgres(lab):
    lib.need_programs("setpriv")
    if lab.client([*as_nobody(), "true"], check_status=False).returncode:
        raise lib.Skipped("no user nobody here")
    data = lab.path("data")
    os.makedirs(data)
    for cmd in (["chown", "nobody:nogroup", data],
                [*as_nobody(), program("initdb"), "-D", data, "-A", "trust", "-U", "pg", "--no-sync", "--no-instructions"]):
        lab.client(cmd, under_shunt=False)
    with open(data + "/pg_hba.conf", "a") as f:
        f.write("host all all 0.0.0.0/0 trust\n")
    if not lab.kernel:
        lab.copy_for_all(lib.launcher(lab.lib))
        lab.lib = lab.copy_for_all(lab.lib)
    options = sum((["-c", "%s=%s" % s] for s in SETTINGS.items()), [])
    return lab.server([program("postgres"), "-D", data, *options], PORT, by=as_nobody("net_admin", "net_raw"))


def pg(lab, tool, *args, timeout=60):
    r = lab.client([program(tool), "-h", lib.OWN_ADDR, "-p", str(PORT), "-U", "pg", *args], timeout=timeout)
    return r.stdout.decode()


def sql(lab, text):
    return pg(lab, "psql", "-XAt", "-d", "postgres", "-c", text).strip()


def bench(lab, *args):
    out = pg(lab, "pgbench", "-n", "-T", str(lib.LOAD_S), *args, "postgres", timeout=lib.LOAD_S + 30)
    failed = re.search(r"number of failed transactions: (\d+)", out)
    done = int(re.search(r"actually processed: (\d+)", out).group(1))
    check(done > 0 and (not failed or failed.group(1) == "0") and "aborted" not in out, out)
    print("  pgbench %s: %d/s" % (" ".join(args), done // lib.LOAD_S))
    return done


@limit(200)
def test_pgbench(lab):
    p = postgres(lab)
    idle = lab.counters(p)
    pg(lab, "pgbench", "-i", "-q", "-s", "1", "postgres")
    bench(lab, "-S", "-c", "8", "-j", "2")
    done = bench(lab, "-c", "8", "-j", "2")
    done += bench(lab, "-c", "4", "-C")
    bench(lab, "-S", "-c", "4", "-C")
    # Each transaction wrote one row, and what it added to an account it added to a teller and a branch.
    check_equal(sql(lab, "select count(*) from pgbench_history"), str(done))
    sums = sql(lab, "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), "
                    "(select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)").split("|")
    check_equal(len(set(sums)), 1, "sums %s:" % sums)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


@limit(120)
def test_copy_and_cancel(lab):
    """Large results and input, a query that is cancelled from another connection, notifications, a killed backend."""
    p = postgres(lab)
    idle = lab.counters(p)
    want = "\n".join("%d\t%s" % (i, "x" * (i % 300)) for i in range(20000)) + "\n"
    lab.write("rows", want)
    sql(lab, "create table t (i int, s text)")
    pg(lab, "psql", "-X", "-d", "postgres", "-c", r"\copy t from '%s'" % lab.path("rows"))
    check(sql(lab, "copy (select * from t order by i) to stdout") + "\n" == want, "the rows came back changed")
    slow = lab.start([program("psql"), "-h", lib.OWN_ADDR, "-p", str(PORT), "-U", "pg", "-d", "postgres", "-c",
                      "select pg_sleep(60)"], under_shunt=False)
    sleeping = "from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'"
    lib.until(lambda: sql(lab, "select count(*) " + sleeping) == "1", 10, "the slow query")
    slow.send_signal(signal.SIGINT)  # psql asks for the end over a connection of its own
    lib.until(lambda: slow.poll() is not None, 10, "the cancelled query to end")
    check("canceling statement" in open(slow.log).read(), open(slow.log).read())
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p, signal.SIGINT), 0)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
