#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# The first process of the virtual machine (vm.py): its root becomes the host's, read-only, and the command runs there.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in /modules/*; do
	$b insmod "$m" || echo "no module $m"
done
$b mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144,ro host /host || echo "no root over 9p"
for d in proc sys dev; do
	$b mount -o move /$d /host/$d
done
$b mount -t tmpfs run /host/run
$b mkdir -p /host/dev/shm
$b mount -t tmpfs shm /host/dev/shm
set --
while read -r word; do
	set -- "$@" "$word"
done </command
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run $b chroot /host "$@" 2>&1 </host/dev/null
echo "guest ended with status $?"
$b sync
$b poweroff -f
