#include <stdio.h>
static int weigh(const int *v, int n)
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
int (*on_a)(const int *, int) = weigh;
extern int (*on_b)(const int *, int);
int main(int argc, char **argv) { int v[] = { argc, 2, 3, 4 }; printf("%d\n", on_a(v, 4)); printf("%d\n", on_b(v, 4)); return 0; }
