#include <cstdio>
#include <memory>
#include <vector>
extern "C" void lp_apply(void);
#include "w.h"
/* Only that object describes W which has its table or constructor. */
__attribute__((noinline)) int use(W *w)
{
#ifdef NEW
	std::vector<W> v(2, *w);
	return v[1].value() + (int)v.size();
#else
	return w->value();
#endif
}
int main()
{
	W *w = make();
	lp_apply();
	std::printf("%d\n", use(w));
}
