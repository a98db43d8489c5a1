#include <stdio.h>
extern const char spot[];
__attribute__((noinline, noclone)) const char *where(int x)
{
	const char *p;
#ifdef NEW
	if (x > 1000)
		return NULL;
#endif
	__asm__ volatile(".globl spot\nspot: lea 0(%%rip), %0" : "=r"(p));
	return p;
}
int main(int argc, char **argv) { printf("%d\n", (int)(where(argc) - spot)); return 0; }
