#include <stdio.h>
#ifndef NEW
__attribute__((destructor)) static void leave(void) { puts("left"); }
#endif
__attribute__((noinline)) int get(int x)
{
#ifdef NEW
	return x + 2;
#else
	return x + 1;
#endif
}
int main(int argc, char **argv) { printf("%d\n", get(argc)); return 0; }
