#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# test_exports.sh LIBSHUNT CALLS_DEF: exactly the symbols of the table are visible in the library, and each exists
# in libc, so that nothing is interposed that nobody calls; and it needs no library that only some links need
set -eu
lib=$1 table=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
check() { # NAME, FILE with offending symbols
	if [ -s "$2" ]; then
		echo "FAIL $1: $(tr '\n' ' ' <"$2")"
		failed=$((failed + 1))
	else
		passed=$((passed + 1))
	fi
}
grep -E '^(CALL|ALIAS|OURS)\(' "$table" |
	sed -E 's/^CALL\([^,]*, ([A-Za-z0-9_]+),.*/\1/; s/^(ALIAS|OURS)\(([A-Za-z0-9_]+).*/\2/' | sort >"$tmp/table"
nm -D --defined-only "$lib" | awk '$2 ~ /[TWBDR]/ { print $3 }' | sort >"$tmp/visible"
libc=$(ldd "$lib" | awk '/libc\.so/ { print $3 }')
nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$tmp/libc"

uniq -d "$tmp/table" >"$tmp/out"
check 'listed twice' "$tmp/out"
comm -23 "$tmp/table" "$tmp/visible" >"$tmp/out"
check 'listed but not exported' "$tmp/out"
comm -13 "$tmp/table" "$tmp/visible" >"$tmp/out"
check 'exported but not listed' "$tmp/out"
comm -23 "$tmp/table" "$tmp/libc" >"$tmp/out"
check 'not a symbol of libc' "$tmp/out"
readelf -d "$lib" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -E 'xdp|bpf|mlx|ibverbs' >"$tmp/out" || true
check 'loaded by every program although few links need it (driver/lazy_lib.h)' "$tmp/out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
