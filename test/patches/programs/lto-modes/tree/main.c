#include "h.h"
int main(void) { return run(); }
