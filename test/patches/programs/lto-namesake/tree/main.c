#include <stdio.h>
#include "h.h"
int main(int c, char **v) { printf("%d %d\n", price(c), rest(c)); return 0; }
