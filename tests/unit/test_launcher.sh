#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# test_launcher.sh SHUNT STUB STATIC - the launcher's command line, with a library that does nothing
#
# The launcher is copied beside the stub so that the test needs no libshunt.so.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$1" "$dir/shunt"
cp "$2" "$dir/libshunt.so"
static=$3
shunt=$dir/shunt
for v in $(env | sed -n 's/^\(SHUNT_[^=]*\)=.*/\1/p'); do unset "$v"; done
unset LD_PRELOAD
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 # one case has an LD_PRELOAD of its own
failed=0

# expect STATUS TEXT COMMAND...: exit status, and a text that its output must contain
expect() {
	local want=$1 text=$2 out status
	shift 2
	out=$("$@" 2>&1)
	status=$?
	if [ $status -ne "$want" ] || [[ $out != *"$text"* ]]; then
		printf 'FAIL: %s\n  status %s, wanted %s; output must contain "%s":\n%s\n' "$*" $status "$want" "$text" "$out"
		failed=1
	fi
}

# Settings travel as environment variables
expect 0 "SHUNT_LINK=vhost:/tmp/x" "$shunt" --link vhost:/tmp/x env
expect 0 "SHUNT_LINK=vhost:/tmp/x" "$shunt" --link=vhost:/tmp/x -- env
expect 0 "SHUNT_ADDR=198.18.1.2/24,198.18.1.3/24" "$shunt" --addr 198.18.1.2/24 --addr 198.18.1.3/24 env
expect 0 "SHUNT_ADDR=198.18.1.2/24,198.18.1.3/24" env SHUNT_ADDR=198.18.9.9/24 \
	"$shunt" --addr 198.18.1.2/24 --set addr=198.18.1.3/24 env
expect 0 "SHUNT_ADDR=198.18.9.9/24" env SHUNT_ADDR=198.18.9.9/24 "$shunt" env
expect 0 "SHUNT_TCP_SACK=off" env SHUNT_TCP_SACK=on "$shunt" --set tcp_sack=off env
expect 0 "SHUNT_GW=198.18.0.1" "$shunt" --gw 198.18.0.1 env

# The library comes first, and an older LD_PRELOAD is kept
expect 0 "LD_PRELOAD=$dir/libshunt.so" "$shunt" env
expect 0 "LD_PRELOAD=$dir/libshunt.so:libm.so.6" env LD_PRELOAD=libm.so.6 "$shunt" env

# The program gets its arguments untouched, and its status is ours
expect 0 "<-x><--help><a b>" "$shunt" sh -c 'printf "<%s>" "$@"' sh -x --help 'a b'
expect 7 "" "$shunt" sh -c 'exit 7'
expect 0 "$(id -u)" "$shunt" id -u

# Mistakes: exit 2 and the nearest valid one
expect 2 "--linc: no such option; nearest is --link" "$shunt" --linc tap env
expect 2 "-x: no such option" "$shunt" -x env
expect 2 "--link needs a value" "$shunt" --link
expect 2 "nearest is link=tap" "$shunt" --link tip env
expect 2 "queues=0: valid is 1 to 16" "$shunt" --set queues=0 env
expect 2 "qeues: no such key; nearest is queues" "$shunt" --set qeues=1 env
expect 2 "not of the form KEY=VALUE" "$shunt" --set queues env
expect 2 "nearest is 198.18.0.2/24" "$shunt" --addr 198.18.0.2 env
expect 2 "gw=198.19.0.1: must be another host" "$shunt" --gw 198.19.0.1 env
expect 2 "SHUNT_LINC: no such key; nearest is SHUNT_LINK" env SHUNT_LINC=tap "$shunt" env
expect 2 "no program given" "$shunt" --
expect 2 "no program given" "$shunt"

# Configuration file
printf 'queues = 2\nlnik = tap\n' >"$dir/bad.conf"
printf '# ours\nqueues = 2\n' >"$dir/good.conf"
expect 2 "$dir/bad.conf:2: lnik: no such key; nearest is link" "$shunt" --config "$dir/bad.conf" env
expect 2 "$dir/none.conf: No such file or directory" "$shunt" --config "$dir/none.conf" env
expect 0 "SHUNT_CONFIG=$dir/good.conf" "$shunt" --config "$dir/good.conf" env

# Help and version
expect 0 "tcp_congestion_control = cubic" "$shunt" --help
expect 0 "shunt 0." "$shunt" --version

# Programs that cannot be run, or not with a library preloaded
expect 127 "no-such-program: no such program" "$shunt" no-such-program
expect 127 "/no/such: no such program" "$shunt" /no/such
printf '#!/bin/sh\n' >"$dir/plain"
expect 126 "Permission denied" "$shunt" "$dir"
[ "$(id -u)" -eq 0 ] || { chmod 644 "$dir/plain"; expect 126 "Permission denied" "$shunt" "$dir/plain"; }
expect 0 "statically linked" "$shunt" "$static"
expect 126 "statically linked" "$shunt" --set fallback=off "$static"
printf '#! %s arg\n' "$static" >"$dir/script"
chmod 755 "$dir/script"
expect 0 "statically linked" "$shunt" "$dir/script"
rm "$dir/libshunt.so"
[ -e /usr/local/lib/x86_64-linux-gnu/libshunt.so ] || expect 2 "neither beside the launcher" "$shunt" env

exit $failed
