/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_secret.h - a secret that outlives the process: one per user and boot
 */
#ifndef PRELOAD_HOST_SECRET_H
#define PRELOAD_HOST_SECRET_H

#include <stdint.h>

/*
 * Reads this user's secret, or makes it: /run/shunt.secret for root, $XDG_RUNTIME_DIR/shunt.secret for
 * others, mode 0600; both are gone after a reboot. Gives zeros where no such file can be had or trusted: the
 * stack then uses a secret of the process (stack_config.isn_secret).
 */
void host_secret(uint64_t secret[2]);

/* The same for a given path. Returns 0 or -errno. */
int host_secret_at(const char *path, uint64_t secret[2]);

#endif
