#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every kind of link with real packets, in a network namespace of its own: links.sh NETDEV_PEER CASE
# Skipped (77) where the kernel or the privileges do not allow it.
set -u
peer=$1 what=$2
if [ -z "${LINKS_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root for a network namespace"; exit 77; }
	LINKS_INSIDE=1 exec timeout 300 unshare -n "$0" "$@"
fi

dir=$(mktemp -d)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; head -n 12 "$dir"/*.out 2>/dev/null; exit 1; }

# start NAME ARGS...: netdev_peer in the background; its output is in $dir/NAME.out
start() {
	local name=$1
	shift
	: >"$dir/$name.out" # at once: what a predecessor said must not be taken for its words
	"$peer" "$@" >"$dir/$name.out" 2>&1 &
	last=$!
	pids+=("$last")
}
wait_open() {
	for _ in $(seq 1200); do
		grep -qE 'open_ms|error' "$dir/$1.out" && return 0
		sleep 0.05
	done
	fail "$1 did not open its link"
}
# value NAME KEY
value() { grep -oE "(^| )$2=[0-9]+" "$dir/$1.out" | tail -1 | cut -d= -f2; }
no_lost_wakeups() { [ "$(value "$1" lost_wakeups)" = 0 ] || fail "$1 lost $(value "$1" lost_wakeups) wake-ups"; }
silent() { [ "$(grep -cvE '^[a-z_]+[:,]|open_ms' "$dir/$1.out")" = 0 ] || fail "$1 chatters"; }

end() { { kill -9 "$1" && wait "$1"; } 2>/dev/null; }

veth() {
	unshare -n sleep 300 &
	ns=$!
	pids+=("$ns")
	for _ in $(seq 100); do
		[ "$(readlink /proc/$ns/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && break
		sleep 0.02
	done
	ip link add v0 type veth peer name v1 netns "$ns" || fail "no veth"
	at="nsenter -t $ns -n"
	$at ip addr add 198.18.0.1/24 dev v1
	$at ip link set v1 up
}

# The kernel pings: slow ones, each with a sleep before it, then a flood.
kernel_pings() {
	$at ping -q -c 60 -i 0.01 -W 20 198.18.0.2 | grep -q ' 0% packet loss' || fail "slow pings were lost"
	$at ping -q -f -c 400 -W 20 198.18.0.2 | grep -q ' 0% packet loss' || fail "fast pings were lost"
}

kernel_peer() { # LINK OPTIONS...: echo for the kernel, in the process and in a forked child
	local link=$1
	shift
	for fork in "" -f; do
		start echo $fork -t 60 "$@" "$link" echo 460
		wait_open echo
		grep -q error "$dir/echo.out" && fail "$(cat "$dir/echo.out")"
		kernel_pings
		wait "$last" || fail "echo ended with $?"
		no_lost_wakeups echo
		silent echo
		[ "$(value echo wakeups)" -ge 30 ] || fail "echo did not sleep between packets"
	done
}

pair() { # LINK_A LINK_B
	for fork in "" -f; do
		start echo $fork -t 60 "$1" echo 3000
		local echo_pid=$last
		start ping $fork -t 60 "$2" ping 3000
		wait "$last" || fail "ping ended with $?"
		wait "$echo_pid" || fail "echo ended with $?"
		no_lost_wakeups ping
		no_lost_wakeups echo
		silent ping
	done
}

# The one end lives on while the other is killed and started again, twice; then the other way round.
gone_and_back() { # LINK_A LINK_B
	start echo -t 200 "$1" echo 100000000
	local echo_pid=$last
	for _ in 1 2; do
		start ping -t 60 "$2" ping 100000000
		for _ in $(seq 100); do
			grep -q open_ms "$dir/ping.out" && break
			sleep 0.05
		done
		sleep 0.3
		end "$last"
	done
	start ping -t 60 "$2" ping 300
	wait "$last" || fail "ping did not reach an echo that had lost its peer twice"
	end "$echo_pid"

	start ping -t 200 "$2" ping_until "$dir/enough"
	local ping_pid=$last
	for round in 1 2 3; do
		start echo -t 200 "$1" echo 100000000
		local echo_pid=$last
		wait_open echo
		sleep 0.3
		[ "$round" = 3 ] || end "$echo_pid"
		kill -0 "$ping_pid" 2>/dev/null || fail "ping died with its peer: $(cat "$dir/ping.out")"
	done
	touch "$dir/enough"
	wait "$ping_pid" || fail "ping did not go on after its peer had come back"
	end "$echo_pid"
}

case $what in
tap)
	[ -c /dev/net/tun ] || { echo "skipped: no /dev/net/tun"; exit 77; }
	at=
	kernel_peer tap:shunt0 -k 198.18.0.1/24
	ip tuntap add dev shunt1 mode tap multi_queue || fail "no tap made beforehand"
	start made tap:shunt1 info
	wait "$last" || fail "a tap made beforehand is not used"
	ip link add shunt2 type veth peer name shunt3 || fail "no veth"
	start other tap:shunt2 info
	wait "$last" && fail "a veth is no tap"
	grep -q 'shunt2 exists and is no tap' "$dir/other.out" || fail "it is not said that a veth is no tap"
	;;
tap_unprivileged)
	setpriv --reuid=65534 --clear-groups unshare -Urn true 2>/dev/null || { echo "skipped: no user namespaces"; exit 77; }
	chmod 755 "$dir" && cp "$peer" "$dir/peer" # the checkout may be in a home that others cannot enter
	setpriv --reuid=65534 --clear-groups unshare -Urn "$dir/peer" -k 198.18.0.1/24 tap info >"$dir/info.out" 2>&1 ||
		fail "$(cat "$dir/info.out")"
	silent info
	grep -q '^tap:shunt0,' "$dir/info.out" || fail "the interface of the link tap is not named"
	;;
af_packet | af_xdp)
	veth
	kernel_peer "$what:v0"
	;;
gso)
	veth
	$at ip neigh add 198.18.0.2 lladdr 02:11:22:33:44:55 dev v1
	start sink -s -t 20 af_packet:v0 sink 4000
	wait_open sink
	$at python3 "$(dirname "$0")/gso_frames.py" v1 200 || { echo "skipped: cannot make GSO frames"; exit 77; }
	wait "$last"
	[ "$(value sink max_len)" = 65226 ] || fail "the largest frame had $(value sink max_len) bytes"
	[ "$(value sink rx_bytes)" -ge $((200 * 65226)) ] || fail "bytes are missing"
	grep -q 'rx_udp_gso_dropped 20' "$dir/sink.out" || fail "joined datagrams were not counted"
	;;
memif)
	pair "memif:$dir/s,server" "memif:$dir/s"
	gone_and_back "memif:$dir/s,server" "memif:$dir/s"
	;;
vhost)
	pair "virtio_user:$dir/s" "vhost:$dir/s"
	gone_and_back "virtio_user:$dir/s" "vhost:$dir/s"
	;;
hugepages) # programs that start at once, each wanting a third of what is free: some get none, and all start
	free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null)
	[ "${free:-0}" -ge 60 ] && [ "$free" -le 2048 ] || { echo "skipped: no hugepages of 2 MB, or too many"; exit 77; }
	for i in 1 2 3 4 5 6 7 8; do
		start "info$i" -m $((free * 2097152 / 2500 / 3)) "memif:$dir/s$i,server" info
	done
	wait
	for i in 1 2 3 4 5 6 7 8; do
		grep -q open_ms "$dir/info$i.out" || fail "$(cat "$dir/info$i.out")"
	done
	;;
*)
	echo "no such case: $what"
	exit 2
	;;
esac
echo "$what: OK"
