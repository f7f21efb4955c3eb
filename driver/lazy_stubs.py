#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the C file with the stubs that lazy_lib.h describes.

    lazy_stubs.py OUT CC LIBRARY... -- ARCHIVE...     LIBRARY as in -lLIBRARY

A stub is made for each function of a library that an archive, or driver.c (EXTRA), calls.
"""
import os
import re
import subprocess
import sys

EXTRA = {"libxdp_set_print", "libbpf_set_print"}
HEAD = """/* Made by lazy_stubs.py: see lazy_lib.h. */
#include <stddef.h>

#include "driver/lazy_lib.h"

#if defined(__x86_64__)
#define STUB(name, offset) \\
	__asm__(".text\\n.globl " name "\\n.hidden " name "\\n.type " name ", @function\\n" name ":\\n" \\
		"jmp *lazy_slots+" offset "(%rip)\\n.size " name ", .-" name "\\n");
#elif defined(__aarch64__)
#define STUB(name, offset) \\
	__asm__(".text\\n.globl " name "\\n.hidden " name "\\n.type " name ", @function\\n" name ":\\n" \\
		"adrp x16, lazy_slots+" offset "\\nldr x16, [x16, :lo12:lazy_slots+" offset "]\\nbr x16\\n" \\
		".size " name ", .-" name "\\n");
#else
#error "a jump through memory for this processor is missing"
#endif
"""


def out_of(*cmd):
    return subprocess.run(cmd, check=True, stdout=subprocess.PIPE, text=True).stdout


def symbols(which, files, *more):
    found = set()
    for f in files:
        for line in out_of("nm", *more, "--%s-only" % which, f).splitlines():
            words = line.split()
            if len(words) >= 2 and not line.endswith(":"):
                found.add(words[-1].split("@")[0])
    return found


def main():
    out, cc, *rest = sys.argv[1:]
    at = rest.index("--")
    libraries, archives = rest[:at], rest[at + 1:]
    wanted = (symbols("undefined", archives) | EXTRA) - symbols("defined", archives)
    stubs, tables, entries = [], [], []
    for lib in libraries:
        path = os.path.realpath(out_of(*cc.split(), "-print-file-name=lib%s.so" % lib).strip())
        soname = re.search(r"\(SONAME\).*\[(.*)\]", out_of("readelf", "-dW", path)).group(1)
        names = sorted(wanted & symbols("defined", [path], "-D"))
        wanted -= set(names)
        tables.append("static const char *const names_%d[] = {%s};" % (len(entries), ", ".join('"%s"' % n for n in names)))
        entries.append('\t{"%s", names_%d, %d, %d},' % (soname, len(entries), len(stubs), len(names)))
        stubs += names
    with open(out, "w") as f:
        f.write(HEAD + "\n")
        for i, name in enumerate(stubs):
            f.write('STUB("%s", "%d")\n' % (name, 8 * i))
        f.write("\nvoid *lazy_slots[] = {%s};\n" % ", ".join(["lazy_absent"] * len(stubs) + ["NULL"]))
        f.write("\n".join(tables) + "\n\nconst struct lazy_lib lazy_libs[] = {\n%s\n\t{NULL, NULL, 0, 0},\n};\n" % "\n".join(entries))


main()
