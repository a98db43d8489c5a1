#if 1
#include "a.c.old"
#endif
