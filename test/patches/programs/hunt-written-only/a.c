#ifndef NEW
#include "a.c.old"
#else
#include "a.c.new"
#endif
