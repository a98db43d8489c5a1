#include <stdio.h>
int one(int), two(int), three(int);
int main(void) { printf("%d %d %d %d %d\n", one(10), two(10), three(1), one(3), two(1)); return 0; }
