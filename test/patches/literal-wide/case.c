/*
 * Strings of wide characters.
 *
 * old: 98
 * new: 99
 * changes: get
 */
#include <wchar.h>
#include "../case.h"

noinline const wchar_t *get(int i)
{
	return i ? OLD_NEW(L"b", L"c") : L"kept";
}

long probe(void)
{
	return get(HIDE(1))[0] + get(HIDE(0))[0] - L'k';
}
