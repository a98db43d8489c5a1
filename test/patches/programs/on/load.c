/* Applies patches to its own process, as the kernel would: lp_apply() with LPS, the patches in order; each has its plan beside it,
 * FILE.plan. A patch may be an image of one that comes later: then it is found where it is mapped. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/mman.h>
struct image { const char *name; uintptr_t base; };
static struct image images[16];
static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct image *im = arg; const char *name = info->dlpi_name; (void)size;
	if (im->name ? strstr(name, im->name) != NULL : name[0] == 0) { im->base = info->dlpi_addr; return 1; }
	return 0;
}
static void die(const char *what) { perror(what); _exit(9); }
static int mapped(struct image *im)
{
	char line[512]; FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f)) {
		char *name = strrchr(line, '/'); unsigned long from, off;
		if (!name || strncmp(name + 1, im->name, strlen(im->name)) || sscanf(line, "%lx-%*x %*s %lx", &from, &off) != 2) continue;
		im->base = from - off; fclose(f); return 1;
	}
	fclose(f); return 0;
}
static void protect(uintptr_t at, size_t n, int prot)
{
	uintptr_t page = at & ~4095UL;
	if (mprotect((void *)page, ((at + n - page) + 4095) & ~4095UL, prot)) die("mprotect");
}
static void apply(const char *lp)
{
	FILE *f; int fd; char op[16], prot[8], name[256]; long long a, b, c; uintptr_t patch = 0;
	snprintf(name, sizeof name, "%s.plan", lp);
	memset(images, 0, sizeof images);
	dl_iterate_phdr(find, &images[0]);
	f = fopen(name, "r"); fd = open(lp, O_RDONLY);
	if (!f || fd < 0) die("open");
	while (fscanf(f, "%15s", op) == 1) {
		if (!strcmp(op, "near")) {
			if (fscanf(f, "%lli %lli", &a, &b) != 2) die("near");
			/* not at the same distance for each */
			for (patch = images[0].base + a + 4096 * (strlen(lp) * 7 % 64); ; patch += 4096) {
				void *p = mmap((void *)patch, b, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
				if (p == (void *)patch) break;
			}
		} else if (!strcmp(op, "image")) {
			if (fscanf(f, "%lli %255s", &a, name) != 2) die("image");
			images[a].name = strdup(name);
			if (!dl_iterate_phdr(find, &images[a]) && !mapped(&images[a])) die(name);
		} else if (!strcmp(op, "seg")) {
			if (fscanf(f, "%lli %lli %lli %7s", &a, &b, &c, prot) != 4) die("seg");
			if (mmap((void *)(patch + b), c, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, a) == MAP_FAILED) die("mmap");
		} else if (!strcmp(op, "prot")) {
			if (fscanf(f, "%lli %lli %7s", &a, &b, prot) != 3) die("prot");
			protect(patch + a, b, PROT_READ | (prot[1] == 'w' ? PROT_WRITE : 0) | (prot[2] == 'x' ? PROT_EXEC : 0));
		} else if (!strcmp(op, "fix")) {
			if (fscanf(f, "%15s %lli %lli %lli", op, &a, &b, &c) != 4) die("fix");
			uintptr_t v = (a < 0 ? patch : images[a].base) + c; char *at = (char *)patch + b; int64_t d = (int64_t)(v - (uintptr_t)at);
			if (!strcmp(op, "abs64")) memcpy(at, &v, 8);
			else if (!strcmp(op, "abs32") && v < 0x80000000UL) memcpy(at, &v, 4);
			else if (!strcmp(op, "pc32") && d == (int32_t)d) memcpy(at, &d, 4);
			else die("fix-up range");
		} else if (!strcmp(op, "bytes")) {
			unsigned x; static unsigned char now[65536];
			if (fscanf(f, "%lli %lli", &a, &b) != 2) die("bytes");
			for (int i = 0; i < b; i++) if (fscanf(f, "%x", &x) != 1) die("bytes");
			for (int i = 0; i < b; i++) { if (fscanf(f, "%x", &x) != 1) die("bytes"); now[i] = x; }
			char *at = (char *)images[0].base + a;
			protect((uintptr_t)at, b, PROT_READ | PROT_WRITE);
			memcpy(at, now, b);
		} else if (!strcmp(op, "jump")) {
			unsigned char now[5] = { 0xe9 }; unsigned x;
			if (fscanf(f, "%lli %lli", &a, &b) != 2) die("jump");
			for (int i = 0; i < 5; i++) if (fscanf(f, "%x", &x) != 1) die("jump");
			char *at = (char *)images[0].base + a;
			int32_t d = (int32_t)(patch + b - ((uintptr_t)at + 5));
			memcpy(now + 1, &d, 4);
			protect((uintptr_t)at, 5, PROT_READ | PROT_WRITE | PROT_EXEC);
			memcpy(at, now, 5);
			protect((uintptr_t)at, 5, PROT_READ | PROT_EXEC);
		}
	}
	fclose(f); close(fd);
}
void lp_apply(void)
{
	char *all = getenv("LPS"), *lp;
	if (!all) return;
	all = strdup(all);
	for (lp = strtok(all, " "); lp; lp = strtok(NULL, " ")) apply(lp);
}
