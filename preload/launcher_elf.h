/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_elf.h - can anything be preloaded into this program?
 */
#ifndef PRELOAD_LAUNCHER_ELF_H
#define PRELOAD_LAUNCHER_ELF_H

/* NULL when it can (or when exec will fail with a better message), else why not, as the end of a sentence. */
const char *launcher_not_preloadable(const char *path);

#endif
