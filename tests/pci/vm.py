# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine for tests that need PCI devices: qemu without hardware's help, a Debian kernel, and as its root the
file system of this machine, to read only. Nothing it sends leaves the namespace that qemu runs in.

    initramfs: busybox, kernel modules, init.sh  ──►  / over 9p, a tmpfs on /run  ──►  the command, output on the console
"""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import net

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "virtio_net", "e1000", "e1000e", "vmxnet3", "vfio-pci", "vfio_iommu_type1",
           "uio_pci_generic")
# Where those and what they need are in the package, which is large.
PARTS = ("drivers/net/*.ko", "drivers/net/ethernet/intel/e1000*", "drivers/net/vmxnet3", "drivers/vfio", "drivers/uio",
         "drivers/virtio", "net/9p", "net/core", "fs/9p", "fs/netfs", "fs/fscache", "virt/lib")
END = "guest ended with status "


def need_programs():
    for name in ("qemu-system-x86_64", "busybox", "cpio"):
        if not shutil.which(name):
            net.skip("%s is not installed (qemu-system-x86, busybox-static, cpio)" % name)
    r = subprocess.run(["file", "-L", shutil.which("busybox")], capture_output=True, text=True) if shutil.which("file") else None
    if r and "dynamically linked" in r.stdout:
        net.skip("busybox is not static (busybox-static)")


class Kernel:
    """Image and modules: the machine's own where they do, else the package's, unpacked into the folder `cache`."""

    def __init__(self, cache):
        for root in ("/", os.path.join(cache, "root")):
            if self.find(root):
                return
        self.fetch(cache)
        if not self.find(os.path.join(cache, "root")):
            net.skip("the kernel package lacks modules: " + " ".join(MODULES))

    def find(self, root):
        for image in sorted(glob.glob(os.path.join(root, "boot/vmlinuz-*")), reverse=True):
            tree = os.path.join(root, "lib/modules", image.split("vmlinuz-", 1)[1])
            self.files = {os.path.basename(p)[:-3].replace("-", "_"): p
                          for p in glob.glob(tree + "/kernel/**/*.ko", recursive=True)}
            if all(m.replace("-", "_") in self.files for m in MODULES):
                self.image = image
                return True
        return False

    def fetch(self, cache):
        os.makedirs(cache, exist_ok=True)
        try:
            depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True).stdout
            package = re.search(r"Depends: (linux-image-\S+)", depends)
            if not package:
                net.skip("no package with a kernel: apt-get update")
            for old in glob.glob(cache + "/*.deb"):
                os.unlink(old)
            subprocess.run(["apt-get", "-qq", "download", package[1]], cwd=cache, check=True, timeout=300,
                           stderr=subprocess.DEVNULL)
            deb, root = glob.glob(cache + "/*.deb")[0], os.path.join(cache, "root")
            shutil.rmtree(root, ignore_errors=True)
            os.makedirs(root)
            pipe = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
            subprocess.run(["tar", "-x", "-C", root, "--wildcards", "./boot/vmlinuz-*",
                            *("./lib/modules/*/kernel/" + part for part in PARTS)], stdin=pipe.stdout, check=True)
            pipe.stdout.close()
            pipe.wait()
            os.unlink(deb)
        except (OSError, subprocess.SubprocessError, IndexError) as e:
            net.skip("no kernel for the machine: %s" % e)

    def in_order(self):
        """The modules' files, each after those it needs."""
        done = []

        def add(name):
            path = self.files.get(name.replace("-", "_"))
            if path is None or path in done:
                return
            with open(path, "rb") as f:
                needs = re.search(rb"\0depends=([^\0]*)\0", f.read())
            for other in (needs[1].decode().split(",") if needs and needs[1] else []):
                add(other)
            done.append(path)
        for m in MODULES:
            add(m)
        return done


def initramfs(kernel, folder, command):
    """Writes FOLDER/initrd; the guest runs `command`, a list of words."""
    tree = os.path.join(folder, "tree")
    for d in ("bin", "modules", "proc", "sys", "dev", "host"):
        os.makedirs(os.path.join(tree, d))
    shutil.copy(shutil.which("busybox"), tree + "/bin/busybox")
    shutil.copy(HERE + "/init.sh", tree + "/init")
    os.chmod(tree + "/init", 0o755)
    for i, path in enumerate(kernel.in_order()):
        shutil.copy(path, "%s/modules/%02d-%s" % (tree, i, os.path.basename(path)))
    with open(tree + "/command", "w") as f:
        f.write("\n".join(command) + "\n")
    with open(folder + "/initrd", "wb") as out:
        files = subprocess.run(["find", ".", "-print0"], cwd=tree, capture_output=True, check=True).stdout
        subprocess.run(["cpio", "--quiet", "-0", "-o", "-H", "newc"], cwd=tree, input=files, stdout=out, check=True)
    return folder + "/initrd"


def run(kernel, folder, command, devices, seconds, iommu, hugepages, ns, say):
    """Runs `command` in a machine with these devices; each line it says goes to say(). Returns its status; None: the
    machine ended or was ended without one."""
    argv = ["timeout", "-k", "5", str(seconds), "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536",
            "-machine", "q35", "-serial", "stdio", "-kernel", kernel.image,
            "-initrd", initramfs(kernel, folder, command),
            "-append", "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off%s hugepages=%d" % (
                " intel_iommu=on" if iommu else "", hugepages),
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    if iommu:
        argv += ["-device", "intel-iommu"]
    status = None
    p = subprocess.Popen(ns.argv(*argv, *devices), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, start_new_session=True)
    try:
        for line in p.stdout:
            line = line.decode(errors="replace").strip()
            if line.startswith(END):
                status = int(line[len(END):])
            elif line and "is not connected to host network" not in line:
                say(line)
    finally:
        net.kill_group(p)
    return status
