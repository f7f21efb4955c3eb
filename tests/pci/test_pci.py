#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_pci.py LIB CASE [DEVICE...]: the pci: link on qemu's network devices, in a virtual machine (vm.py, guest.py).

    queues  two queues, and the offloads that need uncut segments from the other side
    iommu   vfio-pci behind an emulated Intel IOMMU: DMA to virtual addresses, with and without hugepages
    uio     uio_pci_generic without an IOMMU: physical addresses, hugepages only
"""
import json
import os
import sys
import tempfile

import vm
import net

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 840

# Which device is tried how, and what must come of it. vnet: on taps, which carry unfinished checksums and uncut segments.
# qemu's vmxnet3 before version 8 cuts TSO packets into IP fragments where they cannot be passed on, and refuses a few.
VIRTIO = "virtio-net-pci,disable-legacy=on"
CASES = {
    "iommu": {
        "e1000": dict(device="e1000", errors=True, line="checksum, 1 queue"),
        "e1000e": dict(device="e1000e", keys={"hugepages": "off"}, line="without hugepages"),
        "vmxnet3": dict(device="vmxnet3", keys={"tso": "off"}, sleeps=True, line="checksum, 1 queue"),
        "virtio": dict(device=VIRTIO + ",iommu_platform=on", keys={"hugepages": "off"}, sleeps=True),
    },
    "queues": {
        "virtio": dict(device=VIRTIO + ",iommu_platform=on,mq=on,vectors=6", vnet=2, keys={"queues": "2"}, sleeps=True,
                       line="checksum+tso+lro, 2 queues"),
        "vmxnet3": dict(device="vmxnet3", vnet=1, tx_errors=50, keys={"queues": "2"}, sleeps=True, line="checksum+tso, 2 queues"),
    },
    "uio": {
        "e1000": dict(device="e1000", physical=True),
        "e1000e": dict(device="e1000e"),
        "vmxnet3": dict(device="vmxnet3", keys={"tso": "off"}),
        "virtio": dict(device=VIRTIO),
        "virtio-legacy": dict(device="virtio-net-pci,disable-modern=on,disable-legacy=off"),
    },
}
DRIVER = {"iommu": "vfio-pci", "queues": "vfio-pci", "uio": "uio_pci_generic"}


def hub(n):
    return ["-netdev", "hubport,id=a%d,hubid=%d" % (n, n), "-netdev", "hubport,id=b%d,hubid=%d" % (n, n)]


def taps(ns, n, queues):
    """The same by taps and a bridge in the machine's own namespace."""
    bridge = "br%d" % n
    ns.run("ip", "link", "add", bridge, "type", "bridge")
    ns.run("ip", "link", "set", bridge, "up")
    words = []
    for end, many in (("a", queues), ("b", 1)):
        name = "tap%s%d" % (end, n)
        ns.run("ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr", *(["multi_queue"] if many > 1 else []))
        ns.run("ip", "link", "set", name, "up", "master", bridge)
        words += ["-netdev", "tap,id=%s%d,ifname=%s,script=no,downscript=no,vhost=off%s" % (
            end, n, name, ",queues=%d" % many if many > 1 else "")]
    return words


def main():
    library, case, only = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    net.require_root()
    vm.need_programs()
    kernel = vm.Kernel(os.environ["PCI_KERNEL_CACHE"]) # a folder, which keeps what was downloaded
    plan, devices, ns = [], [], net.Ns()
    for n, (name, item) in enumerate(CASES[case].items()):
        if only and name not in only:
            continue
        devices += (taps(ns, n, item["vnet"]) if "vnet" in item else hub(n)) + ["-device", "%s,netdev=a%d,addr=0x%x,romfile=" % (item["device"], n, 0x10 + n),
                             "-device", "%s,netdev=b%d,addr=0x%x,romfile=" % (VIRTIO, n, 4 + n)]
        plan.append({**item, "name": "%s, %s" % (name, case), "bdf": "0000:00:%02x.0" % (0x10 + n),
                     "peer": "0000:00:%02x.0" % (4 + n), "driver": DRIVER[case]})
    with tempfile.TemporaryDirectory(prefix="shunt-pci-") as folder:
        status = vm.run(kernel, folder, ["/usr/bin/python3", "-B", HERE + "/guest.py", library, json.dumps(plan)], devices,
                        LIMIT_S, DRIVER[case] == "vfio-pci", 220, ns, lambda line: print(line, flush=True))
    if status is None:
        print("the machine did not come to an end")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
