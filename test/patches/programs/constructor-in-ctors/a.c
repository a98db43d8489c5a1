#include <stdio.h>
static int level = 1;
#ifdef NEW
static void raise_it(void) { level = 5; }
static void (*const at_start)(void) __attribute__((section(".ctors"), used)) = raise_it;
#endif
__attribute__((noinline)) int get(int x)
{
#ifdef NEW
	return level + x + 1;
#else
	return level + x;
#endif
}
int main(int argc, char **argv) { if (argc > 5) level = argc; printf("%d\n", get(argc)); return 0; }
