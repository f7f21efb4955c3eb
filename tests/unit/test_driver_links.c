/* SPDX-License-Identifier: BSD-3-Clause */
/* Link specifications: what parses to what, and that every mistake is named. Runs without privileges or DPDK.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/driver_priv.h"

static char err[512];

static struct link_spec parse(const char *text)
{
	struct link_spec spec;
	err[0] = '\0';
	cr_assert_eq(link_parse(text, &spec, err, sizeof(err)), 0, "%s: %s", text, err);
	return spec;
}

static void expect_refused(const char *text, const char *said)
{
	struct link_spec spec;
	err[0] = '\0';
	cr_assert_eq(link_parse(text, &spec, err, sizeof(err)), -EINVAL, "%s was accepted",
		     text ? text : "NULL");
	cr_assert_not_null(strstr(err, said), "for '%s' the message lacks '%s': %s", text ? text : "NULL",
			   said, err);
	cr_assert_null(strchr(err, '\n'), "more than one line: %s", err);
}

Test(driver_links, tap_has_a_default_name)
{
	cr_assert_str_eq(parse("tap").target, "shunt0");
	cr_assert_str_eq(parse("tap:").target, "shunt0");
	cr_assert_str_eq(parse("tap:eth7").target, "eth7");
	cr_assert_eq(parse("tap").kind, LINK_TAP);
}

Test(driver_links, every_kind)
{
	cr_assert_eq(parse("af_packet:v0").kind, LINK_AF_PACKET);
	cr_assert_eq(parse("af_xdp:v0").kind, LINK_AF_XDP);
	cr_assert_eq(parse("memif:/tmp/s").kind, LINK_MEMIF);
	cr_assert_eq(parse("vhost:/tmp/s").kind, LINK_VHOST);
	cr_assert_eq(parse("virtio_user:/tmp/s").kind, LINK_VIRTIO_USER);
	cr_assert_eq(parse("pci:0000:03:00.0").kind, LINK_PCI);
	cr_assert_str_eq(parse("pci:0000:03:00.0").target, "0000:03:00.0");
	cr_assert_str_eq(parse("pci:03:00.1").target, "0000:03:00.1");
	cr_assert_str_eq(parse("dpdk:net_null0,size=64").target, "net_null0,size=64");
}

Test(driver_links, devargs_of_a_pci_device_are_a_pci_link)
{
	struct link_spec spec = parse("dpdk:03:00.0,txq_inline_mpw=0,rx_vec_en=1");
	cr_assert_eq(spec.kind, LINK_PCI);
	cr_assert_str_eq(spec.target, "0000:03:00.0");
	cr_assert_str_eq(spec.more, "txq_inline_mpw=0,rx_vec_en=1");
}

Test(driver_links, roles)
{
	cr_assert(parse("memif:/tmp/s,server").server);
	cr_assert_not(parse("memif:/tmp/s").server);
	cr_assert(parse("virtio_user:/tmp/s").server,
		  "virtio_user listens, so that both ends may be restarted");
	cr_assert_not(parse("virtio_user:/tmp/s,client").server);
	cr_assert_not(parse("vhost:/tmp/s").server);
	cr_assert(parse("vhost:/tmp/s,server").server);
}

Test(driver_links, further_options_go_to_the_pmd)
{
	struct link_spec spec = parse("memif:/tmp/s,server,rsize=12,id=3");
	cr_assert(spec.server);
	cr_assert_str_eq(spec.more, "rsize=12,id=3");
}

Test(driver_links, mistakes_are_named)
{
	expect_refused(NULL, "tap[:IFNAME]");
	expect_refused("", "tap[:IFNAME]");
	expect_refused("tpa:x", "did you mean tap[:IFNAME]?");
	expect_refused("afpacket:eth0", "did you mean af_packet:IFNAME?");
	expect_refused("mmif:/tmp/s", "did you mean memif:SOCKET[,server]?");
	expect_refused("something-else:x", "use one of");
	expect_refused("af_packet", "use af_packet:IFNAME");
	expect_refused("af_packet:", "use af_packet:IFNAME");
	expect_refused("memif:", "use memif:SOCKET[,server]");
	expect_refused("af_packet:an-interface-name-too-long", "at most 15 characters");
	expect_refused("af_packet:/dev/null", "cannot be an interface name");
	expect_refused("pci:somewhere", "no PCI address");
	expect_refused("pci:0000:03:20.0", "no PCI address");
	expect_refused("pci:03:00.8", "no PCI address");
	expect_refused("pci:03:00", "no PCI address");
	expect_refused("pci:-3:00.0", "no PCI address");
	expect_refused("memif:/tmp/s,srever", "'srever' is not understood");
	expect_refused("tap:x,server", "'server' is not understood");
}

Test(driver_links, overlong_input_is_refused)
{
	char text[2048] = "memif:/";
	memset(text + strlen(text), 'x', 120);
	expect_refused(text, "longer than the 107 bytes");
	memset(text + 7, 'x', sizeof(text) - 8);
	expect_refused(text, "no usable link");
	snprintf(text, sizeof(text), "dpdk:%0300d", 7);
	expect_refused(text, "too long");
}

static int check(const char *text)
{
	struct link_spec spec = parse(text);
	struct driver_config cfg = {.link = text};
	return link_check(&cfg, &spec, err, sizeof(err));
}

Test(driver_links, no_such_interface)
{
	int ret = check("af_packet:nosuch0");
	if (ret == -EPERM)
		cr_assert_not_null(strstr(err, "CAP_NET_RAW"), "%s", err);
	else
		cr_assert(ret == -ENODEV && strstr(err, "no such interface: nosuch0") != NULL, "%d %s", ret,
			  err);
}

Test(driver_links, no_such_pci_device)
{
	cr_assert_eq(check("pci:fffe:ff:1f.7"), -ENODEV);
	cr_assert_not_null(strstr(err, "no such PCI device"), "%s", err);
}

static char dir[] = "/tmp/links-XXXXXX";

static const char *path_of(const char *kind, const char *name, const char *options)
{
	static char text[128];
	snprintf(text, sizeof(text), "%s:%s/%s%s", kind, dir, name, options);
	return text;
}

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

static int make_socket(const char *name, bool listening)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", dir, name);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	if (listening)
		cr_assert_eq(listen(fd, 16), 0);
	return fd;
}

TestSuite(driver_sockets, .init = make_dir, .fini = remove_dir);

Test(driver_sockets, missing_directory)
{
	cr_assert_eq(check(path_of("memif", "no/such", ",server")), -ENOENT);
	cr_assert_not_null(strstr(err, "mkdir -p"), "%s", err);
}

Test(driver_sockets, clients_wait_for_the_socket_where_they_can)
{
	cr_assert_eq(check(path_of("memif", "s", "")), 0);
	cr_assert_eq(check(path_of("vhost", "s", "")), 0);
	cr_assert_eq(check(path_of("virtio_user", "s", ",client")), -ENOENT);
	cr_assert_not_null(strstr(err, "start the vhost end first"), "%s", err);
}

Test(driver_sockets, not_a_socket)
{
	char file[64];
	snprintf(file, sizeof(file), "%s/f", dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(check(path_of("memif", "f", ",server")), -EINVAL);
	cr_assert_not_null(strstr(err, "is no socket"), "%s", err);
	cr_assert_eq(access(file, F_OK), 0, "a file that is not ours was removed");
}

Test(driver_sockets, in_use)
{
	int fd = make_socket("live", true);
	cr_assert_eq(check(path_of("virtio_user", "live", "")), -EBUSY);
	cr_assert_not_null(strstr(err, "in use"), "%s", err);
	close(fd);
}

Test(driver_sockets, stale_socket_is_replaced)
{
	close(make_socket("stale", true));
	cr_assert_eq(check(path_of("memif", "stale", ",server")), 0, "%s", err);
	cr_assert_neq(access(strchr(path_of("", "stale", ""), '/'), F_OK), 0);
}

static void expect_args(const char *text, bool hugepages, const char *part)
{
	struct driver_port port = {.cfg = {.link = text, .queues = 2}, .hugepages = hugepages};
	port.link = parse(text);
	link_devargs(&port, &port.link, 1500);
	cr_assert_not_null(strstr(port.link.vdev_args, part), "%s lacks %s", port.link.vdev_args, part);
}

Test(driver_links, devargs)
{
	expect_args("tap:x0", false, "iface=x0");
	expect_args("af_packet:x0", false, "qpairs=2,framesz=2048");
	expect_args("af_xdp:x0", false, "busy_budget=0");
	expect_args("memif:/s,server", true, "role=server");
	expect_args("memif:/s", true, "zero-copy=yes");
	expect_args("memif:/s,rsize=9", false, ",rsize=9");
	expect_args("virtio_user:/s", false, "server=1");
	expect_args("vhost:/s", false, "client=1");
}
