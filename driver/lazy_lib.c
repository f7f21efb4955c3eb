/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lazy_lib.c - fills the slots (lazy_lib.h)
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "driver/driver_priv.h"
#include "driver/lazy_lib.h"

long lazy_absent(void)
{
	return 0;
}

static int load_one(const struct lazy_lib *lib, char *err, size_t err_len)
{
	void *handle = dlopen(lib->soname, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL) {
		driver_say(err, err_len, "library %s is not installed or does not load: %s", lib->soname,
			   dlerror());
		return -ENOENT;
	}
	for (unsigned i = 0; i < lib->n; i++) {
		void *function = dlsym(handle, lib->names[i]);

		if (function == NULL) {
			driver_say(err, err_len, "library %s has no %s()", lib->soname, lib->names[i]);
			return -ENOENT;
		}
		lazy_slots[lib->first_slot + i] = function;
		if (strcmp(lib->names[i], "ibv_fork_init") == 0) /* what mlx5's constructor asked for */
			((int (*)(void))function)();
	}
	return 0;
}

int lazy_load(const char *prefix, char *err, size_t err_len)
{
	int first = 0;

	for (const struct lazy_lib *lib = lazy_libs; lib->soname != NULL; lib++) {
		int ret = 0;

		if (strncmp(lib->soname, prefix, strlen(prefix)) == 0)
			ret = load_one(lib, err, err_len);
		first = first != 0 ? first : ret;
	}
	return first;
}
