#include <stdlib.h>
#include <unistd.h>
int other(int x) { return getppid() != 0 ? x : 7; }
