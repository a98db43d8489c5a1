/*
 * std::string, short and long, in new code.
 *
 * old: 5
 * new: 46
 */
#include <string>
#include "../case.h"

noinline long length(const char *s)
{
	std::string text(s);

#ifdef FIX
	text += " and much more, so that it has to be allocated";
	text.resize(text.size() - 5);
#endif
	return text.size();
}

long probe(void)
{
	return length(HIDE("12345"));
}
