#include <stdio.h>
#ifdef NEW
#define N "20"
#else
#define N "10"
#endif
__attribute__((noinline)) int check(int x)
{
	int r;
	__asm__ volatile("cmpl $1, %1\n\tje 2f\n\tmovl $0, %0\n1:\n.subsection 1\n2: movl $" N ", %0\n\tjmp 1b\n.previous" : "=&r"(r) : "r"(x) : "cc");
	return r;
}
int main(int argc, char **argv) { printf("%d %d\n", check(argc), check(argc + 1)); return 0; }
