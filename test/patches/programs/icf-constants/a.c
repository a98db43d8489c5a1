#include <stdio.h>
#ifdef NEW
static const int reader[10] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89 };
#else
static const int reader[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
#endif
__attribute__((noinline)) int a(int i) { return reader[i & 7] * 3; }
int b(int i);
int main(int argc, char **argv) { printf("%d %d\n", a(argc + 3), b(argc + 3)); return 0; }
