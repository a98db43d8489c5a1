/*
 * New code needs an instance of a template that the program has not.
 *
 * old: 5
 * new: 16
 * changes: probe
 */
#include <algorithm>
#include <vector>
#include "../case.h"

long probe(void)
{
#ifdef FIX
	std::vector<short> v = { 4, HIDE((short)9), 7, 5 };

	std::sort(v.begin(), v.end());
	return v[2] + v[3];
#else
	std::vector<int> v = { 1, HIDE(4) };

	return v[0] + v[1];
#endif
}
