#ifndef NEW
#include "b.c.old"
#else
#include "b.c.new"
#endif
