#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# exports.sh CALLS_DEF: the version script for libshunt.so, from the table of interposed symbols
set -eu
echo '{'
echo 'global:'
sed -nE 's/^CALL\([^,]*, ([A-Za-z0-9_]+),.*/\t\1;/p; s/^ALIAS\(([A-Za-z0-9_]+),.*/\t\1;/p; s/^OURS\(([A-Za-z0-9_]+)\).*/\t\1;/p' "$1"
echo 'local:'
printf '\t*;\n};\n'
