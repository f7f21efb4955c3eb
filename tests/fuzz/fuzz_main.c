/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_main.c - runs a fuzz target without libFuzzer: the corpus, then random mutations of it from a seed
 *
 *     fuzz_TARGET [--runs N] [--seed S] [FILE or FOLDER…]
 *
 * The input that is running is kept in ./crash-TARGET.bin if the target ends the process, to be named on the
 * command line again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX  4096
#define CORPUS_MAX 256

static uint8_t corpus[CORPUS_MAX][INPUT_MAX];
static size_t corpus_len[CORPUS_MAX];
static unsigned corpus_n;

static uint8_t current[INPUT_MAX];
static size_t current_len;
static char crash_path[256];
static uint64_t rng_state;

static uint64_t rnd(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 0x2545F4914F6CDD1DULL;
}

static void on_crash(int sig)
{
	int fd = open(crash_path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (fd >= 0 && write(fd, current, current_len) == (ssize_t)current_len)
		(void)!write(2, "fuzz: input kept in the file crash-*.bin\n", 41);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void load(const char *path)
{
	struct stat sb;

	if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode)) {
		struct dirent **names;
		int n = scandir(path, &names, NULL, alphasort);
		for (int i = 0; i < n; i++) {
			char child[1024];
			snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
			if (names[i]->d_name[0] != '.')
				load(child);
			free(names[i]);
		}
		free(names);
		return;
	}
	FILE *f = fopen(path, "rb");
	if (f && corpus_n < CORPUS_MAX) {
		corpus_len[corpus_n] = fread(corpus[corpus_n], 1, INPUT_MAX, f);
		corpus_n++;
	}
	if (f)
		fclose(f);
}

static void run_current(void)
{
	LLVMFuzzerTestOneInput(current, current_len);
}

static void insert(size_t at, const uint8_t *bytes, size_t n)
{
	if (current_len + n > INPUT_MAX)
		n = INPUT_MAX - current_len;
	memmove(current + at + n, current + at, current_len - at);
	memcpy(current + at, bytes, n);
	current_len += n;
}

/* One change: flip, overwrite, delete, insert, splice from another input. */
static void mutate(void)
{
	static const uint8_t interesting[] = {0,  1,  2,  4,  5,  8,   10,  16,  20, 31,
					      32, 40, 60, 63, 64, 127, 128, 254, 255};
	uint8_t bytes[64];
	size_t at = current_len ? rnd() % current_len : 0;

	switch (rnd() % 8) {
	case 0:
	case 1:
		if (current_len)
			current[at] ^= (uint8_t)(1U << rnd() % 8);
		break;
	case 2:
		if (current_len)
			current[at] = (uint8_t)rnd();
		break;
	case 3:
		if (current_len)
			current[at] = interesting[rnd() % sizeof interesting];
		break;
	case 4: {
		size_t n = rnd() % 16;
		if (at + n < current_len) {
			memmove(current + at, current + at + n, current_len - at - n);
			current_len -= n;
		}
		break;
	}
	case 5:
		for (unsigned i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)rnd();
		insert(at, bytes, 1 + rnd() % 16);
		break;
	default: {
		unsigned from = (unsigned)(rnd() % corpus_n);
		if (corpus_len[from]) {
			size_t start = rnd() % corpus_len[from], n = 1 + rnd() % 64;
			if (start + n > corpus_len[from])
				n = corpus_len[from] - start;
			memcpy(bytes, corpus[from] + start, n);
			insert(at, bytes, n);
		}
	}
	}
}

int main(int argc, char **argv)
{
	unsigned long runs = 0, seed = 1;
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	for (int i = 1; i < argc; i++) {
		if (i + 1 < argc && strcmp(argv[i], "--runs") == 0)
			runs = strtoul(argv[++i], NULL, 0);
		else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
			seed = strtoul(argv[++i], NULL, 0);
		else
			load(argv[i]);
	}
	rng_state = seed * 0x9E3779B97F4A7C15ULL + 1;
	snprintf(crash_path, sizeof crash_path, "crash-%.200s.bin", name);
	signal(SIGSEGV, on_crash);
	signal(SIGABRT, on_crash);
	signal(SIGFPE, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGILL, on_crash);
	if (corpus_n == 0)
		corpus_n = 1; /* the empty input */
	for (unsigned i = 0; i < corpus_n; i++) {
		current_len = corpus_len[i];
		memcpy(current, corpus[i], current_len);
		run_current();
	}
	for (unsigned long r = 0; r < runs; r++) {
		unsigned from = (unsigned)(rnd() % corpus_n);
		current_len = corpus_len[from];
		memcpy(current, corpus[from], current_len);
		for (unsigned n = 1 + (unsigned)(rnd() % 12); n > 0; n--)
			mutate();
		run_current();
		/* A mutant now and then becomes a parent, so that inputs wander off the corpus. */
		if (corpus_n < CORPUS_MAX && rnd() % 64 == 0) {
			memcpy(corpus[corpus_n], current, current_len);
			corpus_len[corpus_n++] = current_len;
		} else if (corpus_n == CORPUS_MAX && rnd() % 256 == 0) {
			unsigned to = CORPUS_MAX / 2 + (unsigned)(rnd() % (CORPUS_MAX / 2));
			memcpy(corpus[to], current, current_len);
			corpus_len[to] = current_len;
		}
	}
	printf("%s: %u inputs, %lu mutations\n1 passed, 0 failed\n", name, corpus_n, runs);
	return 0;
}
