/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_elf.c - finds the programs ld.so would run without our library, in silence
 *
 * Statically linked (no PT_INTERP: there is no ld.so), of another architecture, or run with raised privileges
 * (AT_SECURE: ld.so(8) ignores LD_PRELOAD with a slash). A script is judged by its interpreter.
 */
#include "launcher_elf.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#endif

static bool has_interpreter(int fd, const Elf64_Ehdr *eh)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; i < eh->e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) != sizeof(ph))
			return true; /* broken; exec will say so */
		if (ph.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static bool raises_privileges(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static const char *judge(const char *path, int depth)
{
	union {
		Elf64_Ehdr eh;
		char text[256];
	} head = {0};
	const char *why = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, head.text, sizeof(head.text) - 1);
	if (n > 2 && !memcmp(head.text, "#!", 2)) {
		char *interpreter = head.text + 2 + strspn(head.text + 2, " \t");

		interpreter[strcspn(interpreter, " \t\n")] = '\0';
		why = depth < 4 ? judge(interpreter, depth + 1) : NULL;
	} else if (n >= (ssize_t)sizeof(head.eh) && !memcmp(head.text, ELFMAG, SELFMAG)) {
		if (head.eh.e_ident[EI_CLASS] != ELFCLASS64 || head.eh.e_machine != OWN_MACHINE)
			why = "is built for another architecture, for which there is no libshunt.so";
		else if (!has_interpreter(fd, &head.eh))
			why = "is statically linked: it calls no libc that could be preloaded";
		else if (raises_privileges(fd, path))
			why = "runs with raised privileges (setuid, setgid or capabilities): ld.so ignores "
			      "LD_PRELOAD";
	}
	close(fd);
	return why;
}

const char *launcher_not_preloadable(const char *path)
{
	return judge(path, 0);
}
