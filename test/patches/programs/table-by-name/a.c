#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* Its name is no C identifier: a linker script would mark where it starts and ends; here the section table tells. */
#define COMMAND(n, v) static const struct command n __attribute__((section(".commands"), used, aligned(16))) = { #n, v }
struct command { char name[8]; long value; };
COMMAND(get, 1);
COMMAND(put, 2);
__attribute__((noinline)) long twice(long x)
{
#ifdef NEW
	COMMAND(del, 3);
	return x * 2 + 1;
#else
	return x * 2;
#endif
}
int main(void)
{
	static char file[1 << 20];
	FILE *f = fopen("/proc/self/exe", "r");
	fread(file, 1, sizeof file, f);
	Elf64_Ehdr *e = (void *)file;
	Elf64_Shdr *s = (void *)(file + e->e_shoff);
	for (int i = 0; i < e->e_shnum; i++)
		if (!strcmp(file + s[e->e_shstrndx].sh_offset + s[i].sh_name, ".commands"))
			for (struct command *c = (void *)(file + s[i].sh_offset); (char *)c < file + s[i].sh_offset + s[i].sh_size; c++)
				printf("%s %ld\n", c->name, twice(c->value));
	return 0;
}
