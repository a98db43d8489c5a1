/* Applies a patch to its own process, as the kernel would: lp_apply() with LP and PLAN (load.go) in the environment. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct image {
	const char *name; /* NULL: the program */
	uintptr_t base;
};

static struct image images[16]; /* 0 is the one that is patched; IMAGE in the environment names it, if it is a library */
static uintptr_t patch;
static FILE *plan;
static int lp;

static void die(const char *what)
{
	perror(what);
	_exit(9);
}

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

static void protect(uintptr_t at, size_t n, int prot)
{
	uintptr_t page = at & ~4095UL;

	if (mprotect((void *)page, ((at + n - page) + 4095) & ~4095UL, prot))
		die("mprotect");
}

/* number reads the next number of the plan. */
static long long number(void)
{
	long long n;

	if (fscanf(plan, "%lli", &n) != 1)
		die("plan");
	return n;
}

static void bytes(unsigned char *to, size_t n)
{
	unsigned int x;

	for (size_t i = 0; i < n; i++) {
		if (fscanf(plan, "%x", &x) != 1)
			die("plan");
		to[i] = x;
	}
}

/* reserve takes the first room that is free behind an image. */
static void reserve(uintptr_t from, size_t size)
{
	for (patch = from;; patch += 4096) {
		void *p = mmap((void *)patch, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == (void *)patch)
			return;
	}
}

static void fix(void)
{
	char kind[16];

	if (fscanf(plan, "%15s", kind) != 1)
		die("plan");
	long long image = number();
	char *at = (char *)patch + number();
	uintptr_t v = (image < 0 ? patch : images[image].base) + number();
	int64_t d = (int64_t)(v - (uintptr_t)at);

	if (!strcmp(kind, "abs64"))
		memcpy(at, &v, 8);
	else if (!strcmp(kind, "abs32") && v < 0x80000000UL)
		memcpy(at, &v, 4);
	else if (!strcmp(kind, "pc32") && d == (int32_t)d)
		memcpy(at, &d, 4);
	else
		die("fix-up range");
}

static void overwrite(int jump)
{
	unsigned char old[65536], now[65536];
	char *at = (char *)images[0].base + number();
	size_t n = 5;

	if (jump) {
		int32_t d = (int32_t)(patch + number() - ((uintptr_t)at + n));

		now[0] = 0xe9;
		memcpy(now + 1, &d, 4);
	} else {
		n = number();
	}
	bytes(old, n);
	if (!jump)
		bytes(now, n);
	if (memcmp(at, old, n)) {
		fprintf(stderr, "old bytes differ\n");
		_exit(9);
	}
	protect((uintptr_t)at, n, PROT_READ | PROT_WRITE | (jump ? PROT_EXEC : 0));
	memcpy(at, now, n);
	if (jump)
		protect((uintptr_t)at, n, PROT_READ | PROT_EXEC);
}

static void step(const char *op)
{
	char word[256];

	if (!strcmp(op, "near")) {
		uintptr_t from = images[0].base + number();

		reserve(from, number());
	} else if (!strcmp(op, "image")) {
		struct image *im = &images[number()];

		if (fscanf(plan, "%255s", word) != 1)
			die("plan");
		im->name = strdup(word);
		if (!dl_iterate_phdr(find, im))
			die(word);
	} else if (!strcmp(op, "seg")) {
		off_t off = number();
		char *at = (char *)patch + number();

		if (mmap(at, number(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, lp, off) == MAP_FAILED)
			die("mmap");
		if (fscanf(plan, "%255s", word) != 1)
			die("plan");
	} else if (!strcmp(op, "prot")) {
		uintptr_t at = patch + number();
		size_t n = number();

		if (fscanf(plan, "%255s", word) != 1)
			die("plan");
		protect(at, n, PROT_READ | (word[1] == 'w' ? PROT_WRITE : 0) | (word[2] == 'x' ? PROT_EXEC : 0));
	} else if (!strcmp(op, "fix")) {
		fix();
	} else {
		overwrite(!strcmp(op, "jump"));
	}
}

/* lp_base is where the patch is, 0 for nowhere. */
uintptr_t lp_base(void)
{
	return patch;
}

void lp_apply(void)
{
	const char *file = getenv("LP"), *list = getenv("PLAN");
	char op[16];

	if (!file || !list)
		return;
	images[0].name = getenv("IMAGE");
	dl_iterate_phdr(find, &images[0]);
	plan = fopen(list, "r");
	lp = open(file, O_RDONLY);
	if (!plan || lp < 0)
		die("open");
	while (fscanf(plan, "%15s", op) == 1)
		step(op);
	fclose(plan);
}
