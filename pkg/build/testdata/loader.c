/* Stands in for the kernel: maps a patch near the image, applies the fix-ups and the jumps to its own memory. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "unit.h"

struct image {
	const char *name; /* NULL: the program */
	uintptr_t base;
};

static struct image images[16]; /* 0 is the one that is patched */

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct image *im = arg;
	const char *name = info->dlpi_name;

	(void)size;
	if (im->name ? strstr(name, im->name) != NULL : name[0] == 0) {
		im->base = info->dlpi_addr;
		return 1;
	}
	return 0;
}

static void die(const char *what) { perror(what); exit(9); }

static void protect(uintptr_t at, size_t n, int prot)
{
	uintptr_t page = at & ~4095UL;
	if (mprotect((void *)page, ((at + n - page) + 4095) & ~4095UL, prot))
		die("mprotect");
}

static void apply(const char *lp, const char *plan)
{
	FILE *f = fopen(plan, "r");
	int fd = open(lp, O_RDONLY);
	char op[16], prot[8], name[256];
	long long a, b, c;
	uintptr_t patch = 0;

	if (!f || fd < 0)
		die("open");
	while (fscanf(f, "%15s", op) == 1) {
		if (!strcmp(op, "near")) { /* address of the image to be near to, size */
			if (fscanf(f, "%lli %lli", &a, &b) != 2) die("near");
			for (patch = images[0].base + a; ; patch += 1 << 20) {
				void *p = mmap((void *)patch, b, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
				if (p == (void *)patch) break;
			}
		} else if (!strcmp(op, "image")) { /* number, name */
			if (fscanf(f, "%lli %255s", &a, name) != 2 || a < 1 || a > 15) die("image");
			images[a].name = strdup(name);
			if (!dl_iterate_phdr(find, &images[a])) die(name);
		} else if (!strcmp(op, "seg")) {
			if (fscanf(f, "%lli %lli %lli %7s", &a, &b, &c, prot) != 4) die("seg");
			if (mmap((void *)(patch + b), c, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, a) == MAP_FAILED) die("mmap");
		} else if (!strcmp(op, "prot")) {
			if (fscanf(f, "%lli %lli %7s", &a, &b, prot) != 3) die("prot");
			protect(patch + a, b, PROT_READ | (prot[1] == 'w' ? PROT_WRITE : 0) | (prot[2] == 'x' ? PROT_EXEC : 0));
		} else if (!strcmp(op, "fix")) {
			if (fscanf(f, "%15s %lli %lli %lli", op, &a, &b, &c) != 4) die("fix");
			uintptr_t v = (a < 0 ? patch : images[a].base) + c;
			char *at = (char *)patch + b;
			int64_t d = (int64_t)(v - (uintptr_t)at);
			if (!strcmp(op, "abs64")) memcpy(at, &v, 8);
			else if (!strcmp(op, "abs32") && v < 0x80000000UL) memcpy(at, &v, 4);
			else if (!strcmp(op, "pc32") && d == (int32_t)d) memcpy(at, &d, 4);
			else die("fix-up range");
		} else if (!strcmp(op, "jump")) {
			unsigned char old[5], now[5] = { 0xe9 };
			if (fscanf(f, "%lli %lli", &a, &b) != 2) die("jump");
			for (int i = 0; i < 5; i++) {
				unsigned x;
				if (fscanf(f, "%x", &x) != 1) die("jump");
				old[i] = x;
			}
			char *at = (char *)images[0].base + a;
			if (memcmp(at, old, 5)) die("old bytes differ");
			int32_t d = (int32_t)(patch + b - ((uintptr_t)at + 5));
			memcpy(now + 1, &d, 4);
			protect((uintptr_t)at, 5, PROT_READ | PROT_WRITE | PROT_EXEC);
			memcpy(at, now, 5);
			protect((uintptr_t)at, 5, PROT_READ | PROT_EXEC);
		}
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	input = &stdin;
	images[0].name = getenv("IMAGE");
	dl_iterate_phdr(find, &images[0]);
	/* With FIRST the new code runs from the start, without it after a round of the old code. */
	if (!getenv("FIRST"))
		run(stderr);
	if (argc > 2)
		apply(argv[1], argv[2]);
	if (getenv("FIRST"))
		run(stdout);
	run(stdout);
	return 0;
}
