#include <stdio.h>
void note(const char *s);
void other(void) { note("other"); puts("other"); }
