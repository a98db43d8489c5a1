#include <stdio.h>

#define PORT "8"


__attribute__((noinline)) const char *work(void)
{
	const char *name = "host:" PORT "/x";
	return name;
}

int main(void) { puts(work()); return 0; }
