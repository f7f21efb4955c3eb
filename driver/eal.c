/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eal.c - starts DPDK inside somebody else's program without disturbing it
 *
 * Called once per family, from driver_open(), which has blocked all signals and restores the thread's
 * affinity afterwards. EAL is told to keep everything to itself: no files (no-shconf), no telemetry socket
 * (telemetry.c makes it), no PCI scan unless the link is a PCI device, one lcore (the current CPU), so that
 * it makes no worker threads. All its memory is one shared mapping that fork inherits: a memfd, or hugepages.
 *
 * DPDK's log goes through a stream of ours, because its own would end on the program's stderr and in syslog;
 * the last error is kept so that a failed start can say the cause in one line.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "driver/driver_priv.h"

#define ARGS_MAX    48
#define FDS_WANTED  64 /* EAL panics, that is aborts the program, when it cannot make its few descriptors */
#define LOGLINE_MAX 256
#define HUGE_SPARE  (8u << 20) /* what EAL allocates beyond -m */

#define LOCK_WAIT_MS 5000
#define LOCK_NAP_MS  5

static struct {
	bool tried;
	int result;
	bool hugepages;
	int log_level;
	char last_error[LOGLINE_MAX];
	FILE *stream;
} eal;

bool eal_has_hugepages(void)
{
	return eal.hugepages;
}

const char *eal_last_error(void)
{
	return eal.last_error;
}

void eal_clear_error(void)
{
	eal.last_error[0] = '\0';
}

static ssize_t log_write(void *cookie, const char *buf, size_t len)
{
	(void)cookie;
	int level = rte_log_cur_msg_loglevel();
	if (level <= (int)RTE_LOG_ERR) {
		size_t n = len < LOGLINE_MAX - 1 ? len : LOGLINE_MAX - 1;
		memcpy(eal.last_error, buf, n);
		while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
			n--;
		eal.last_error[n] = '\0';
	}
	if (level <= eal.log_level && write(STDERR_FILENO, buf, len) < 0)
		return 0;
	return (ssize_t)len;
}

static void log_open(int level)
{
	eal.log_level = level;
	if (eal.stream == NULL)
		eal.stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});
	if (eal.stream != NULL) {
		setvbuf(eal.stream, NULL, _IOLBF, LOGLINE_MAX);
		rte_openlog_stream(eal.stream);
	}
	rte_log_set_global_level(level > (int)RTE_LOG_ERR ? (uint32_t)level : RTE_LOG_ERR);
}

/* Free hugepages of one size directory ("hugepages-2048kB"), in bytes. */
static size_t hugepages_free_in(const char *dir)
{
	char path[320];
	unsigned long kb, pages = 0;

	if (sscanf(dir, "hugepages-%lukB", &kb) != 1)
		return 0;
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", dir);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * kb * 1024;
}

static size_t hugepages_free(void)
{
	DIR *d = opendir("/sys/kernel/mm/hugepages");
	if (d == NULL)
		return 0;
	size_t most = 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		size_t bytes = hugepages_free_in(e->d_name);
		most = bytes > most ? bytes : most;
	}
	closedir(d);
	return most;
}

/*
 * EAL cannot be started a second time when it finds that others were quicker or a limit applies: ask before,
 * and let no other program under Shunt do the same until EAL has taken them. Whoever holds the lock for too
 * long is not waited for. Returns what eal_hugepages_unlock() takes.
 */
int eal_hugepages_lock(void)
{
	const struct timespec nap = {.tv_nsec = LOCK_NAP_MS * 1000 * 1000};
	int fd = open("/proc/sys/vm/nr_hugepages", O_RDONLY | O_CLOEXEC);

	for (int ms = 0; fd >= 0 && ms < LOCK_WAIT_MS && flock(fd, LOCK_EX | LOCK_NB) != 0; ms += LOCK_NAP_MS)
		nanosleep(&nap, NULL);
	return fd;
}

void eal_hugepages_unlock(int fd)
{
	if (fd < 0)
		return;
	flock(fd, LOCK_UN); /* closing is not enough: another thread may have forked meanwhile */
	close(fd);
}

static bool hugepages_reservable(size_t bytes)
{
	void *p = mmap(NULL, RTE_ALIGN_CEIL(bytes, EAL_HUGE_PAGE), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	return p != MAP_FAILED && munmap(p, RTE_ALIGN_CEIL(bytes, EAL_HUGE_PAGE)) == 0;
}

static bool hugepages_may_do(const struct driver_config *cfg)
{
	return cfg->hugepages != DRIVER_HUGE_OFF && hugepages_free() > 0;
}

static int choose_hugepages(const struct driver_config *cfg, const struct link_spec *spec, size_t mem_bytes,
			    char *err, size_t err_len)
{
	size_t have = cfg->hugepages == DRIVER_HUGE_OFF ? 0 : hugepages_free();

	eal.hugepages = have >= mem_bytes + HUGE_SPARE && hugepages_reservable(mem_bytes + HUGE_SPARE);
	if (eal.hugepages)
		return 0;
	if (spec->physical) {
		driver_say(err, err_len,
			   "without an IOMMU PCI device %s needs %zu MB of hugepages%s: write %zu to "
			   "/proc/sys/vm/nr_hugepages, or enable the IOMMU and bind it to vfio-pci",
			   spec->target, (mem_bytes + HUGE_SPARE) >> 20,
			   cfg->hugepages == DRIVER_HUGE_OFF ? ", and hugepages=off" : "",
			   ((mem_bytes + HUGE_SPARE) >> 21) + 1);
		return -ENOMEM;
	}
	if (cfg->hugepages != DRIVER_HUGE_ON)
		return 0;
	driver_say(err, err_len,
		   "hugepages=on needs %zu MB of free hugepages, there are %zu MB: write %zu to "
		   "/proc/sys/vm/nr_hugepages, or set hugepages=auto",
		   (mem_bytes + HUGE_SPARE) >> 20, have >> 20, ((mem_bytes + HUGE_SPARE) >> 21) + 1);
	return -ENOMEM;
}

static bool enough_descriptors(void)
{
	int fds[FDS_WANTED], n = 0;
	while (n < FDS_WANTED && (fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	/* A closed stderr is no lack of descriptors. */
	bool enough = n == FDS_WANTED || errno != EMFILE;
	while (n > 0)
		close(fds[--n]);
	return enough;
}

struct args {
	char *v[ARGS_MAX + 1];
	int n;
};

__attribute__((format(printf, 2, 3))) static void arg(struct args *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (a->n < ARGS_MAX && vasprintf(&a->v[a->n], fmt, ap) >= 0)
		a->v[++a->n] = NULL;
	va_end(ap);
}

static void args_free(struct args *a, char **kept)
{
	for (int i = 0; i < a->n; i++)
		free(kept[i]);
}

static void args_build(struct args *a, const struct driver_config *cfg, const struct link_spec *spec,
		       size_t mem_bytes)
{
	int cpu = sched_getcpu();

	arg(a, "shunt");
	arg(a, "--lcores=0@%d", cpu < 0 ? 0 : cpu);
	arg(a, "--file-prefix=shunt-%d", (int)getpid());
	arg(a, "--iova-mode=%s", spec->physical ? "pa" : "va");
	arg(a, "--no-telemetry");
	arg(a, "--no-shconf");
	if (cfg->log_level >
	    (int)RTE_LOG_NOTICE) /* each component has a level of its own, NOTICE as a rule */
		arg(a, "--log-level=*:%d", cfg->log_level);
	arg(a, "-m");
	arg(a, "%zu", (mem_bytes >> 20) + 1);
	if (eal.hugepages) {
		arg(a, "--in-memory");
		arg(a, "--single-file-segments"); /* memif zero-copy and virtio_user count on few files */
	} else {
		arg(a, "--no-huge");
	}
	if (spec->kind == LINK_PCI) {
		arg(a, "-a");
		arg(a, "%s%s%s", spec->target, spec->more[0] != '\0' ? "," : "", spec->more);
	} else if (spec->kind != LINK_DEVARGS || strncmp(spec->target, "net_", 4) == 0) {
		arg(a, "--no-pci");
	}
	if (cfg->eal_args == NULL)
		return;
	char *copy = strdup(cfg->eal_args), *save = NULL;
	for (char *w = copy ? strtok_r(copy, " ", &save) : NULL; w != NULL; w = strtok_r(NULL, " ", &save))
		arg(a, "%s", w);
	free(copy);
}

static int run_eal(const struct driver_config *cfg, const struct link_spec *spec, size_t mem_bytes, char *err,
		   size_t err_len)
{
	struct args a = {.n = 0};
	char *kept[ARGS_MAX + 1];

	args_build(&a, cfg, spec, mem_bytes);
	memcpy(kept, a.v, sizeof(kept)); /* getopt permutes the vector that it is given */
	int ret = rte_eal_init(a.n, a.v);
	int why = rte_errno;
	args_free(&a, kept);
	rmdir(rte_eal_get_runtime_dir());        /* empty, and EAL leaves it for ever */
	RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY; /* lcore ids are queue numbers here: driver_enter_queue() */
	if (ret >= 0)
		return 0;
	driver_say(err, err_len, "DPDK does not start with %zu MB: %s%s", mem_bytes >> 20, eal.last_error,
		   cfg->eal_args ? " (check eal_args)" : "");
	return why > 0 ? -why : -EIO;
}

int eal_start(const struct driver_config *cfg, const struct link_spec *spec, size_t mem_bytes, char *err,
	      size_t err_len)
{
	if (eal.tried) {
		if (eal.result != 0)
			driver_say(err, err_len, "DPDK did not start before in this process: %s",
				   eal.last_error);
		return eal.result;
	}
	if (!enough_descriptors()) {
		driver_say(err, err_len, "DPDK needs %d more open files: raise ulimit -n", FDS_WANTED);
		return -EMFILE;
	}
	int lock = hugepages_may_do(cfg) ? eal_hugepages_lock() : -1;
	int ret = choose_hugepages(cfg, spec, mem_bytes, err, err_len);
	if (!eal.hugepages) {
		eal_hugepages_unlock(lock);
		lock = -1;
	}
	if (ret == 0) {
		log_open(cfg->log_level);
		eal.tried = true;
		ret = eal.result = run_eal(cfg, spec, mem_bytes, err, err_len);
	}
	eal_hugepages_unlock(lock);
	return ret;
}
