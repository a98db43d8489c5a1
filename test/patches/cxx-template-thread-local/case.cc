/*
 * The same for each thread.
 *
 * old: 5
 * new: 15
 */
#include "../case.h"

template <typename T> struct Counter {
	static thread_local T count;
	noinline static T get(T up)
	{
		count += up;
		return HIDE(count) + OLD_NEW(0, 10);
	}
};

template <typename T> thread_local T Counter<T>::count = 5;

long probe(void)
{
	return Counter<long>::get(HIDE(0L));
}
