/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_config.c - keys, their sources and what is said about wrong ones
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/config.h"
#include "preload/config_value.h"
#include "stack/stack.h"

static struct config cfg;
static char err[1024];

static void set_up(void)
{
	config_init(&cfg);
	err[0] = '\0';
}

static void set_ok(const char *key, const char *value)
{
	int ret = config_set(&cfg, CONFIG_ARG, key, value, err, sizeof(err));

	cr_assert_eq(ret, 0, "%s=%s: %s", key, value, err);
}

static void set_fails(const char *key, const char *value, const char *says)
{
	int ret = config_set(&cfg, CONFIG_ARG, key, value, err, sizeof(err));

	cr_assert_lt(ret, 0, "%s=%s was taken", key, value);
	cr_assert(strstr(err, says), "\"%s\" does not say \"%s\"", err, says);
}

static void assert_cidr(const struct config_cidr *c, const char *text)
{
	char buf[32];

	cr_assert_str_eq(config_cidr_text(c, buf, sizeof(buf)), text);
}

TestSuite(config, .init = set_up);

Test(config, defaults_are_tap_and_the_benchmark_range)
{
	cr_assert_eq(config_finish(&cfg, err, sizeof(err)), 0, "%s", err);
	cr_assert_str_eq(cfg.link, "tap");
	cr_assert_eq(cfg.addr.n, 1);
	assert_cidr(&cfg.addr.at[0], "198.18.0.2/24");
	assert_cidr(&cfg.kernel_addr, "198.18.0.1/24");
	cr_assert_eq(cfg.gw, 0);
	cr_assert_eq(cfg.log, CONFIG_LOG_INFO);
	cr_assert_eq(cfg.fallback, CONFIG_FALLBACK_KERNEL);
	cr_assert_eq(cfg.hugepages, CONFIG_HUGEPAGES_AUTO);
	cr_assert(!cfg.bad);
}

Test(config, every_type_is_read)
{
	set_ok("link", "memif:/run/x.sock,server");
	set_ok("addr", "198.18.1.2/24, 198.19.0.1/16");
	set_ok("gw", "198.18.1.1");
	set_ok("mac", "02:00:00:0a:0B:0c");
	set_ok("log", "Debug");
	set_ok("tso", "off");
	set_ok("mtu", "0");
	set_ok("mbufs", "64K");
	set_ok("tcp_rmem", "4096\t 1M 16M");
	set_ok("ip_local_port_range", "1024-65535");
	set_ok("eal_args", "-l 0 --no-pci");
	set_ok("kernel_addr", "none");
	cr_assert_eq(config_finish(&cfg, err, sizeof(err)), 0, "%s", err);
	cr_assert_str_eq(cfg.link, "memif:/run/x.sock,server");
	cr_assert_eq(cfg.addr.n, 2);
	assert_cidr(&cfg.addr.at[1], "198.19.0.1/16");
	cr_assert_eq(cfg.gw, inet_addr("198.18.1.1"));
	cr_assert_arr_eq(cfg.mac, ((uint8_t[]){2, 0, 0, 10, 11, 12}), 6);
	cr_assert_eq(cfg.log, CONFIG_LOG_DEBUG);
	cr_assert(!cfg.tso);
	cr_assert_eq(cfg.mbufs, 65536);
	cr_assert_arr_eq(cfg.tcp_rmem, ((uint32_t[]){4096, 1 << 20, 16 << 20}), sizeof(cfg.tcp_rmem));
	cr_assert_eq(cfg.ip_local_port_range[0], 1024);
	cr_assert_eq(cfg.ip_local_port_range[1], 65535);
	cr_assert_eq(cfg.kernel_addr.kind, CONFIG_CIDR_NONE);
}

Test(config, unknown_keys_name_the_nearest)
{
	set_fails("linc", "tap", "nearest is link");
	set_fails("tcp_sakc", "on", "nearest is tcp_sack");
	set_fails("rmem-max", "1", "nearest is rmem_max");
	set_fails("", "1", "no such key");
}

Test(config, impossible_values_name_the_nearest)
{
	set_fails("log", "inof", "nearest is log=info");
	set_fails("tso", "onn", "nearest is tso=on");
	set_fails("hugepages", "atuo", "nearest is hugepages=auto");
	set_fails("tcp_congestion_control", "cubix", "nearest is tcp_congestion_control=cubic");
	set_fails("link", "af_paket:eth0", "nearest is link=af_packet:eth0");
	set_fails("link", "vhost", "link=vhost:/run/shunt.sock");
	set_fails("link", "memif:", "needs something");
	set_fails("link", "", "no link of that kind");
	set_fails("queues", "0", "nearest is 1");
	set_fails("queues", "17", "nearest is 16");
	set_fails("mtu", "1", "nearest is 576");
	set_fails("mbufs", "99999999999999999999", "nearest is 16777216");
	set_fails("mbufs", "-5", "not a number");
	set_fails("mbufs", "12x", "not a number");
	set_fails("mbufs", "", "not a number");
	set_fails("mbufs", "2048 2048", "after the last number");
	set_fails("tcp_rmem", "4096 131072", "not a number");
	set_fails("tcp_rmem", "4096 1024 8192", "must rise");
	set_fails("ip_local_port_range", "1 70000", "nearest is 65535");
	set_fails("addr", "198.18.0.2", "nearest is 198.18.0.2/24");
	set_fails("addr", "198.18.0.2/33", "nearest is 198.18.0.2/32");
	set_fails("addr", "198.18.0.256/24", "not an IPv4 address");
	set_fails("addr", "224.0.0.1/24", "cannot be a host's");
	set_fails("addr", "0.0.0.0/0", "cannot be a host's");
	set_fails("addr", " , ", "no address");
	set_fails("gw", "here", "not an IPv4 address");
	set_fails("mac", "02:00:00:00:00", "not a hardware address");
	set_fails("mac", "02:00:00:00:00:01:02", "not a hardware address");
	set_fails("mac", "01:00:00:00:00:01", "nearest is 00:00:00:00:00:01");
}

Test(config, a_failed_value_leaves_the_old_one)
{
	set_ok("addr", "198.18.1.2/24");
	set_ok("tcp_rmem", "4096 8192 16384");
	set_fails("addr", "198.18.1.3/24,bad", "no prefix length");
	set_fails("tcp_rmem", "4097 x", "not a number");
	cr_assert_eq(cfg.addr.n, 1);
	cr_assert_eq(cfg.tcp_rmem[0], 4096);
}

Test(config, too_many_addresses_are_refused)
{
	set_fails("addr",
		  "198.18.0.1/24,198.18.0.2/24,198.18.0.3/24,198.18.0.4/24,198.18.0.5/24,198.18.0.6/24,"
		  "198.18.0.7/24,198.18.0.8/24,198.18.0.9/24",
		  "more than 8");
}

Test(config, text_longer_than_its_field_is_refused)
{
	char text[CONFIG_TEXT_MAX + 1];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	set_fails("eal_args", text, "longer than 255");
	text[sizeof(text) - 2] = '\0';
	set_ok("eal_args", text);
}

Test(config, addresses_add_up_within_a_source_and_replace_across)
{
	char e[64];

	set_up();
	cr_assert_eq(config_set(&cfg, CONFIG_FILE, "addr", "198.18.5.1/24", e, sizeof(e)), 0);
	cr_assert_eq(config_set(&cfg, CONFIG_FILE, "addr", "198.18.5.2/24", e, sizeof(e)), 0);
	cr_assert_eq(cfg.addr.n, 2);
	cr_assert_eq(config_set(&cfg, CONFIG_ENV, "addr", "198.18.6.1/24", e, sizeof(e)), 0);
	cr_assert_eq(cfg.addr.n, 1);
	assert_cidr(&cfg.addr.at[0], "198.18.6.1/24");
	cr_assert_eq(config_set(&cfg, CONFIG_FILE, "addr", "198.18.7.1/24", e, sizeof(e)), 0);
	assert_cidr(&cfg.addr.at[0], "198.18.6.1/24");
}

Test(config, finish_checks_values_against_each_other)
{
	set_ok("gw", "198.18.1.1");
	cr_assert_eq(config_finish(&cfg, err, sizeof(err)), -EINVAL);
	cr_assert(strstr(err, "gw=198.18.1.1"));

	set_up();
	set_ok("kernel_addr", "198.18.0.2/24");
	cr_assert_eq(config_finish(&cfg, err, sizeof(err)), -EINVAL);
	cr_assert(strstr(err, "kernel_addr=198.18.0.2/24"));

	set_up();
	set_ok("addr", "198.18.1.1/24,198.18.1.1/16");
	cr_assert_eq(config_finish(&cfg, err, sizeof(err)), -EINVAL);
	cr_assert(strstr(err, "given twice"));
}

Test(config, the_kernels_end_is_the_first_free_host)
{
	static const struct {
		const char *addr, *kernel;
	} cases[] = {
		{"198.18.3.2/24", "198.18.3.1/24"},
		{"198.18.3.1/24", "198.18.3.2/24"},
		{"198.18.3.1/24,198.18.3.2/24", "198.18.3.3/24"},
		{"198.18.3.1/31", "198.18.3.0/31"},
		{"198.18.3.0/31", "198.18.3.1/31"},
		{"198.18.3.1/32", ""},
		{"198.18.3.0/31,198.18.3.1/31", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up();
		set_ok("addr", cases[i].addr);
		cr_assert_eq(config_finish(&cfg, err, sizeof(err)), 0, "%s", err);
		assert_cidr(&cfg.kernel_addr, cases[i].kernel);
	}
}

static char *write_file(const char *text)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/shunt-test-config-XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

Test(config, file_then_environment)
{
	char *path = write_file("# a comment\n; another\n[shunt]\n\nlink = vhost:/tmp/a b.sock\n"
				"addr=198.18.9.2/24\naddr=198.18.9.3/24\n  tcp_sack = off  \r\nmbufs=4096");
	char variable[128];
	char *env[] = {"PATH=/bin", "SHUNT_MBUFS=8192", variable, "SHUNT_log=error", "SHUNTED=1", NULL};

	snprintf(variable, sizeof(variable), "SHUNT_CONFIG=%s", path);
	cr_assert_eq(config_read_env(&cfg, env, err, sizeof(err)), 0, "%s", err);
	unlink(path);
	cr_assert_str_eq(cfg.link, "vhost:/tmp/a b.sock");
	cr_assert_eq(cfg.addr.n, 2);
	cr_assert(!cfg.tcp_sack);
	cr_assert_eq(cfg.mbufs, 8192);
	cr_assert_eq(cfg.log, CONFIG_LOG_ERROR);
	cr_assert_eq(cfg.source[CONFIG_KEY_link], CONFIG_FILE);
	cr_assert_eq(cfg.source[CONFIG_KEY_mbufs], CONFIG_ENV);
	cr_assert_eq(cfg.source[CONFIG_KEY_gw], CONFIG_DEFAULT);
}

Test(config, file_errors_name_the_line)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"link=tap\nlnik=tap\n", ":2: lnik: no such key; nearest is link"},
		{"queues=99\n", ":1: queues=99"},
		{"just words\n", "KEY = VALUE"},
		{"[nginx]\n", "nearest is [shunt]"},
		{"=5\n", "no such key"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = write_file(cases[i].text);

		cr_assert_lt(config_read_file(&cfg, path, err, sizeof(err)), 0);
		unlink(path);
		cr_assert(strstr(err, cases[i].says), "\"%s\" does not say \"%s\"", err, cases[i].says);
	}
	cr_assert_eq(config_read_file(&cfg, "/nonexistent/x", err, sizeof(err)), -ENOENT);
	cr_assert(strstr(err, "/nonexistent/x"));
	cr_assert_eq(config_read_file(&cfg, "/", err, sizeof(err)), -EIO);
}

Test(config, unknown_variables_name_the_nearest)
{
	cr_assert_eq(config_read_env(&cfg, (char *[]){"SHUNT_LNIK=tap", NULL}, err, sizeof(err)), -ENOENT);
	cr_assert(strstr(err, "SHUNT_LINK"), "%s", err);
	cr_assert_eq(config_read_env(&cfg, (char *[]){"SHUNT_CONFG=x", NULL}, err, sizeof(err)), -ENOENT);
	cr_assert(strstr(err, "SHUNT_CONFIG"), "%s", err);
}

Test(config, get_marks_a_bad_environment_and_goes_on)
{
	setenv("SHUNT_QUEUES", "many", 1);
	errno = 77;
	cr_assert(config_get()->bad);
	cr_assert_eq(errno, 77);
	cr_assert_eq(config_get(), config_get());
}

Test(config, get_reads_the_environment_once)
{
	setenv("SHUNT_QUEUES", "3", 1);
	cr_assert(!config_get()->bad);
	setenv("SHUNT_QUEUES", "4", 1);
	cr_assert_eq(config_get()->queues, 3);
	assert_cidr(&config_get()->kernel_addr, "198.18.0.1/24");
}

Test(config, stack_gets_the_same_units)
{
	struct stack_config stack;

	memset(&stack, 0, sizeof(stack));
	set_ok("addr", "198.18.1.2/24,198.18.1.3/16");
	set_ok("gw", "198.18.1.1");
	set_ok("tcp_congestion_control", "reno");
	set_ok("tcp_keepalive_time", "11");
	set_ok("tcp_tw_reuse", "1");
	set_ok("ip_local_port_range", "2000 3000");
	config_to_stack(&cfg, &stack);
	cr_assert_eq(stack.n_addrs, 2);
	cr_assert_eq(stack.addrs[1].addr, inet_addr("198.18.1.3"));
	cr_assert_eq(stack.addrs[1].prefix_len, 16);
	cr_assert_eq(stack.gateway, inet_addr("198.18.1.1"));
	cr_assert_str_eq(stack.tcp_congestion_control, "reno");
	cr_assert_eq(stack.tcp_keepalive_time_s, 11);
	cr_assert(stack.tcp_tw_reuse);
	cr_assert_eq(stack.ip_local_port_range[1], 3000);
	cr_assert_eq(stack.tcp_rmem[2], 6291456);
	cr_assert_eq(stack.ip_default_ttl, 64);
	set_ok("tcp_tw_reuse", "2");
	config_to_stack(&cfg, &stack);
	cr_assert(!stack.tcp_tw_reuse);
}

Test(config, every_key_takes_its_own_default)
{
	for (unsigned k = 0; k < CONFIG_KEYS; k++)
		set_ok(config_key(k)->name, config_key(k)->def);
}

Test(config_words, edit_distance_counts_steps)
{
	cr_assert_eq(edit_distance("", ""), 0);
	cr_assert_eq(edit_distance("abc", ""), 3);
	cr_assert_eq(edit_distance("", "abc"), 3);
	cr_assert_eq(edit_distance("link", "LINK"), 0);
	cr_assert_eq(edit_distance("lnik", "link"), 1);
	cr_assert_eq(edit_distance("kitten", "sitting"), 3);
}

Test(config_words, nearest_word_takes_the_first_of_equals)
{
	char buf[16];

	cr_assert_str_eq(nearest_word("auto|on|off", "o", buf, sizeof(buf)), "on");
	cr_assert_str_eq(nearest_word("a|b", "zzz", buf, sizeof(buf)), "a");
	cr_assert_str_eq(nearest_word("", "x", buf, sizeof(buf)), "");
}
