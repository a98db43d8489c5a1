/*
 * A static variable of a template, of which the whole process has one (STB_GNU_UNIQUE): old code has counted in it.
 *
 * old: 41
 * new: 141
 * image: library
 */
#include "../case.h"

template <typename T> struct Counter {
	static T count;
	noinline static T next(T up)
	{
		count += up;
		return HIDE(count) + OLD_NEW(0, 100);
	}
};

template <typename T> T Counter<T>::count = 40;

void setup(void)
{
	Counter<long>::next(1);
}

long probe(void)
{
	return Counter<long>::next(HIDE(0L));
}
