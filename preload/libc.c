/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libc.c - resolves libc's own functions with dlsym(RTLD_NEXT); the only dlsym of the project
 *
 * Runs in the constructor, or earlier from the stub of whichever function is called first: a preloaded
 * library is initialised late, and an allocator that reads /proc with syscall() may come before it, under its
 * own lock. dlsym() allocates only to report a failure, so this cannot recurse into that allocator as long as
 * every symbol of calls.def exists; one that an older libc lacks becomes a function that fails with ENOSYS.
 *
 * Two threads may resolve at once: both write the same values.
 */
#include <dlfcn.h>
#include <errno.h>

#include "libc.h"

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	return p ? p : (void *)missing;
}

#define CALL(ret, name, params, args)                                                                        \
	static ret first_##name params                                                                       \
	{                                                                                                    \
		libc_resolve();                                                                              \
		return real_##name args;                                                                     \
	}                                                                                                    \
	ret(*real_##name) params = first_##name;
#define ALIAS(name, of)
#define OURS(name)
#include "calls.def"
#undef CALL

void libc_resolve(void)
{
	int saved = errno;

#define CALL(ret, name, params, args) real_##name = (ret(*) params)next(#name);
#include "calls.def"
	errno = saved;
}
