#include <stdio.h>

/* moved */
#define PORT "9"


__attribute__((noinline)) const char *work(void)
{
	const char *name = "host:" PORT "/x";
	return name;
}

int main(void) { puts(work()); return 0; }
