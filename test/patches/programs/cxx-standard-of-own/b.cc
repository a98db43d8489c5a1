#include "w.h"
W::W(int v) : v(v)
{
#ifdef NEW
	more = 1;
#endif
}
W::~W() {}
W *make() { return new W(5); }
