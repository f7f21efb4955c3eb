# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# lib.sh - what the scripts of this folder share; to be sourced by bash
#
# Background processes are ended by their id, namespaces and files by the exit trap; nothing outside the
# namespaces made here is configured, except packages and hugepages, and then it is said.

top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # su leaves the user's PATH, and dpkg needs the rest
policy_rc_d=/usr/sbin/policy-rc.d

packages_build='gcc clang meson ninja-build pkg-config libdpdk-dev libcriterion-dev libnuma-dev libbsd-dev libarchive-dev'
packages_test='clang-format python3 iproute2 ethtool util-linux procps iputils-ping netbase curl wrk redis-server redis-tools nginx-light
	memcached iperf3 nodejs openssl apache2 lighttpd haproxy dnsmasq-base unbound bind9-dnsutils socat wget
	libpython3.11-testsuite openssh-server openssh-client'
packages_long='qemu-system-x86 busybox-static cpio postgresql default-jdk-headless'

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

need_root()
{
	[ "$(id -u)" -eq 0 ] || die "needs root (network namespaces, packages): sudo $0"
}

# Cleaning up: the commands given to at_exit run in reverse order, also after an interrupt.
exit_commands=()
at_exit()
{
	exit_commands=("$*" "${exit_commands[@]}")
	trap run_exit_commands EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

run_exit_commands()
{
	local status=$? command
	for command in "${exit_commands[@]}"; do
		eval "$command" || true
	done
	exit $status
}

# packages_install NAME...: installs those that are missing. The services they bring are neither started now nor at boot.
packages_install()
{
	local missing=() name log
	for name; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" -eq 0 ] || die "only root can install what is missing: ${missing[*]}"
	say "Installing ${#missing[@]} packages (services among them stay off): ${missing[*]}"
	log=$(mktemp -t shunt-packages.XXXXXX)
	packages_fetch "${missing[@]}" </dev/null >"$log" 2>&1 ||
		{ tail -20 "$log" >&2; die "the packages could not be installed, see $log"; }
	rm -f "$log"
}

# A shell of its own, whose exit trap takes the policy away as soon as it is not needed.
packages_fetch()
(
	exit_commands=()
	if [ ! -e "$policy_rc_d" ]; then # packages ask it before they start a service: 101 means "do not"
		at_exit "rm -f $policy_rc_d"
		printf '#!/bin/sh\nexit 101\n' >"$policy_rc_d"
		chmod 755 "$policy_rc_d"
	fi
	services_new=()
	for service in redis-server nginx memcached iperf3 apache2 lighttpd haproxy unbound postgresql ssh; do
		[ -e "/lib/systemd/system/$service.service" ] || services_new+=("$service")
	done
	export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
	apt='apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300'
	for pause in 5 20 0; do # a mirror, or the system's own update just after boot, may be in the way for a while
		$apt update # may fail for a source that is not needed
		if $apt -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --no-install-recommends install "$@"; then
			for service in "${services_new[@]}"; do systemctl disable "$service"; done
			exit 0
		fi
		sleep $pause
		dpkg --configure -a # what an interrupted installation left
	done
	exit 1
)

# build FOLDER [MESON-ARG...]: sets the folder up once and builds it; the output only when it fails.
build()
{
	local dir=$1 log=$1.log
	shift
	{ [ -e "$dir/build.ninja" ] || meson setup "$dir" "$top" "$@"; } >"$log" 2>&1 &&
		ninja -C "$dir" >>"$log" 2>&1 || { tail -60 "$log"; return 1; }
	rm -f "$log"
}

# hugepages_want COUNT: asks the kernel for 2 MB pages when it has fewer free; what was there before comes back.
hugepages_want()
{
	local knob=/sys/kernel/mm/hugepages/hugepages-2048kB before now
	before=$(cat $knob/nr_hugepages 2>/dev/null) || { say "Hugepages: this kernel has none; going on without"; return 0; }
	[ "$(cat $knob/free_hugepages)" -lt "$1" ] || { say "Hugepages: enough are free"; return 0; }
	if ! echo "$((before + $1))" 2>/dev/null >$knob/nr_hugepages; then
		say "Hugepages: not allowed to reserve any; going on without"
		return 0
	fi
	at_exit "echo $before >$knob/nr_hugepages"
	now=$(cat $knob/nr_hugepages)
	if ! grep -q ' hugetlbfs ' /proc/mounts; then
		mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages && at_exit "umount /dev/hugepages"
	fi
	say "Hugepages: reserved $((now - before)) of 2 MB until this script ends"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# start LOGFILE COMMAND...: in the background, ended with the script; its id is in $started.
start()
{
	local log=$1
	shift
	"$@" </dev/null >"$log" 2>&1 &
	started=$!
	at_exit "stop $started"
}

# stop PID: TERM, then KILL after five seconds.
stop()
{
	kill "$1" 2>/dev/null || return 0
	wait_for 5 eval "! kill -0 $1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# netns_new NAME: a network namespace with loopback up and without IPv6's chatter, gone at exit.
netns_new()
{
	ip netns add "$1" || die "cannot make the network namespace $1"
	at_exit "ip netns del $1"
	ip -n "$1" link set lo up
	ip netns exec "$1" sh -c 'for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done' 2>/dev/null
}

# veth_new NS-A IF-A ADDR-A NS-B IF-B ADDR-B: a cable between two namespaces; "" leaves an end without address.
veth_new()
{
	ip -n "$1" link add "$2" type veth peer name "$5" netns "$4"
	[ -z "$3" ] || ip -n "$1" addr add "$3" dev "$2"
	[ -z "$6" ] || ip -n "$4" addr add "$6" dev "$5"
	ip -n "$1" link set "$2" up
	ip -n "$4" link set "$5" up
}
