#include <stdio.h>
void first_hook(const char *s) { printf("first: %s\n", s); }
void second_hook(const char *s) { printf("second: %s\n", s); }
__asm__(".symver first_hook,hook@V1");
__asm__(".symver second_hook,hook@@V2");
