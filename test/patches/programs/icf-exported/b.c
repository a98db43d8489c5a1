#include <stdio.h>
__attribute__((noinline)) int measure(const int *v, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += v[i] * 7 ^ (sum >> 3);
	return sum;
}
int b(const int *v, int n) { printf("b: %d\n", measure(v, n)); return 0; }
