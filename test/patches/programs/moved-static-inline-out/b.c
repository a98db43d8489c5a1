#include "h.h"
int fb(int x) { return f(x) * 2; }
