/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - may this PCI device be had, and what does its driver need: read from sysfs before DPDK tries
 *
 * A device is driven through vfio-pci, behind an IOMMU or without one (VFIO's no-IOMMU mode), or through
 * uio_pci_generic and igb_uio; mlx4 and mlx5 leave it to the kernel's driver. Without an IOMMU the device
 * takes physical addresses, which only hugepages keep.
 *
 * VFIO gives a device to one program. UIO gives it to everybody, and two would ruin each other's memory: a
 * lock on its descriptor, which fork inherits, keeps programs under Shunt apart.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vfio.h>

#include "driver/driver_priv.h"

#define CLASS_NETWORK 0x02 /* the first byte of PCI's class code */
#define BDF_LETTERS   "0123456789abcdefABCDEF:."

bool pci_parse(const char *text, char *bdf, size_t len)
{
	unsigned domain = 0, bus, dev, fn;
	char rest;

	if (text[strspn(text, BDF_LETTERS)] != '\0')
		return false;
	if (sscanf(text, "%4x:%2x:%2x.%1u%c", &domain, &bus, &dev, &fn, &rest) != 4) {
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1u%c", &bus, &dev, &fn, &rest) != 3)
			return false;
	}
	return dev < 32 && fn < 8 && snprintf(bdf, len, "%04x:%02x:%02x.%u", domain, bus, dev, fn) < (int)len;
}

struct device {
	const char *bdf;
	char dir[64]; /* "/sys/bus/pci/devices/0000:03:00.0" */
	char driver[64];
};

/* The last part of where a link in the device's folder leads. */
static bool link_name(const struct device *d, const char *link, char *name, size_t len)
{
	char path[96], target[256];

	snprintf(path, sizeof(path), "%s/%s", d->dir, link);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	return snprintf(name, len, "%s", basename(target)) < (int)len;
}

/* The first line of a file in the device's folder; empty when there is none. */
static void read_line(const struct device *d, const char *file, char *line, int len)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", d->dir, file);
	FILE *f = fopen(path, "re");
	if (f == NULL || fgets(line, len, f) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (f != NULL)
		fclose(f);
}

static bool is_network(const struct device *d)
{
	char text[16];
	unsigned class;

	read_line(d, "class", text, sizeof(text));
	return sscanf(text, "%x", &class) != 1 || class >> 16 == CLASS_NETWORK;
}

static int cannot_open(const struct device *d, const char *path, int why, char *err, size_t err_len)
{
	if (why == EBUSY)
		driver_say(err, err_len, "PCI device %s is in use by another program", d->bdf);
	else if (why == EACCES || why == EPERM)
		driver_say(err, err_len,
			   "no permission for %s of PCI device %s: run as root, or give %s to this user and "
			   "raise ulimit -l",
			   path, d->bdf, path);
	else
		driver_say(err, err_len, "%s of PCI device %s cannot be opened: %s", path, d->bdf,
			   strerror(why));
	return -why;
}

/* Opening the group shows whether it is ours to have; DPDK opens it again. */
static int check_vfio(const struct device *d, struct link_spec *spec, char *err, size_t err_len)
{
	char group[32], name[32], path[64];
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (!link_name(d, "iommu_group", group, sizeof(group))) {
		driver_say(err, err_len,
			   "PCI device %s has no IOMMU group: enable the IOMMU (intel_iommu=on)", d->bdf);
		return -ENODEV;
	}
	read_line(d, "iommu_group/name", name, sizeof(name));
	spec->physical = strcmp(name, "vfio-noiommu") == 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s%s", spec->physical ? "noiommu-" : "", group);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return cannot_open(d, path, errno, err, err_len);
	int ret = ioctl(fd, VFIO_GROUP_GET_STATUS, &status);
	close(fd);
	if (ret == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
		driver_say(err, err_len,
			   "PCI device %s shares IOMMU group %s with devices of the kernel: bind those to "
			   "vfio-pci, too (ls %s/iommu_group/devices)",
			   d->bdf, group, d->dir);
		return -EBUSY;
	}
	return 0;
}

static int check_uio(const struct device *d, struct link_spec *spec, char *err, size_t err_len)
{
	char path[96], node[64] = "";

	snprintf(path, sizeof(path), "%s/uio", d->dir);
	DIR *dir = opendir(path);
	for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
		if (strncmp(e->d_name, "uio", 3) == 0)
			snprintf(node, sizeof(node), "/dev/%.32s", e->d_name);
	if (dir != NULL)
		closedir(dir);
	spec->physical = spec->uio = true;
	spec->held_fd = open(node, O_RDWR | O_CLOEXEC);
	if (spec->held_fd < 0)
		return cannot_open(d, node, errno, err, err_len);
	if (flock(spec->held_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(spec->held_fd);
	spec->held_fd = -1;
	return cannot_open(d, node, EBUSY, err, err_len);
}

bool pci_has_vectors(const char *bdf)
{
	char line[4096], name[32];
	bool found = false;

	snprintf(name, sizeof(name), "(%s)", bdf);
	FILE *f = fopen("/proc/interrupts", "re");
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, "vfio-msix[") != NULL && strstr(line, name) != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

static int wrong_driver(const struct device *d, char *err, size_t err_len)
{
	if (d->driver[0] == '\0')
		driver_say(err, err_len,
			   "PCI device %s has no driver: bind it to vfio-pci: dpdk-devbind.py -b vfio-pci %s",
			   d->bdf, d->bdf);
	else
		driver_say(
			err, err_len,
			"PCI device %s is bound to %s; bind it to vfio-pci: dpdk-devbind.py -b vfio-pci %s",
			d->bdf, d->driver, d->bdf);
	return -EBUSY;
}

int pci_check(struct link_spec *spec, char *err, size_t err_len)
{
	struct device d = {.bdf = spec->target};

	snprintf(d.dir, sizeof(d.dir), "/sys/bus/pci/devices/%.16s", spec->target);
	if (access(d.dir, F_OK) != 0) {
		driver_say(err, err_len, "no such PCI device: %s (see lspci -D)", spec->target);
		return -ENODEV;
	}
	if (!is_network(&d)) {
		driver_say(err, err_len, "PCI device %s is no network device (see lspci -D)", spec->target);
		return -EINVAL;
	}
	if (!link_name(&d, "driver", d.driver, sizeof(d.driver)))
		d.driver[0] = '\0';
	if (strcmp(d.driver, "vfio-pci") == 0)
		return check_vfio(&d, spec, err, err_len);
	if (strcmp(d.driver, "uio_pci_generic") == 0 || strcmp(d.driver, "igb_uio") == 0)
		return check_uio(&d, spec, err, err_len);
	if (strcmp(d.driver, "mlx5_core") == 0 || strcmp(d.driver, "mlx4_core") == 0)
		return 0;
	return wrong_driver(&d, err, err_len);
}
