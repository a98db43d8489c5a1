#if 1
#include "c.c.old"
#endif
