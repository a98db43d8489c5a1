#include <stdio.h>
__attribute__((noinline)) int weigh(const int *v, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += v[i] * 7 ^ (sum >> 3);
#ifdef NEW
	return sum + 100000;
#else
	return sum;
#endif
}
int a(const int *v, int n) { printf("a: %d\n", weigh(v, n)); return 0; }
int b(const int *v, int n);
int main(int argc, char **argv) { int v[] = { argc, 2, 3, 4 }; a(v, 4); b(v, 4); return 0; }
