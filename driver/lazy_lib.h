/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lazy_lib.h - shared libraries that only some links need, loaded when such a link is opened
 *
 * Every program under Shunt, however small, would otherwise load libxdp, libbpf, libmlx5, libibverbs and what
 * these need, nine libraries, at its start: 2 to 3 ms. Instead each of their functions that DPDK calls has a
 * stub of the same name here, which jumps through a slot (lazy_stubs.py writes them). Until the library is
 * loaded the slots lead to a function that does nothing and returns 0: a driver's constructor calls
 * ibv_fork_init(), and mlx5 looks for devices, of which there are none then.
 */
#ifndef DRIVER_LAZY_LIB_H
#define DRIVER_LAZY_LIB_H

#include <stdbool.h>
#include <stddef.h>

struct lazy_lib {
	const char *soname;
	const char *const *names;
	unsigned first_slot, n;
};

extern const struct lazy_lib lazy_libs[] __attribute__((visibility("hidden"))); /* ends with soname NULL */
extern void *lazy_slots[] __attribute__((visibility("hidden")));
long lazy_absent(void);

/*
 * Loads those whose soname begins with `prefix` ("" for all). Returns 0, or -ENOENT with a line in err when
 * one is not there or lacks a function; the others are loaded.
 */
int lazy_load(const char *prefix, char *err, size_t err_len);

#endif
