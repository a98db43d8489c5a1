/*
 * Threads that run have no room for another variable.
 *
 * refused: new-tls last_error: use ordinary storage
 */
#include "../case.h"

#ifdef FIX
static __thread long last_error;
#endif

long probe(void)
{
#ifdef FIX
	return last_error++;
#else
	return 1;
#endif
}
