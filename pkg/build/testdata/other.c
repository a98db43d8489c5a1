/* The unit that stays: calls everything and prints what came of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "unit.h"

int other_public = 5;
callback_t callback = changed_body;
FILE *out, **input;
void *(*allocate)(size_t) = malloc;

int *get_other(void) { return &other_public; }
int other_function(int x) { return x * 2; }
callback_t callback_of_other(void) { return changed_body; }

void run(FILE *f)
{
	static const double v[9] = { 1, 2.5, 3, 4, 5.25, 6, 7, 8, 9.75 };
	struct pair p = { 5, 6 };
	int i;

	out = stdout;
	for (i = 0; i < 4; i++) {
		fprintf(f, "same %d body %d", same(i), changed_body(i));
		fprintf(f, " text '%s' callback %d\n", last_text(), callback(i));
	}
	for (i = -1; i < 11; i++)
		fprintf(f, "switch %d: %d\n", i, changed_switch(i));
	for (i = 0; i < 40; i += 10) {
		errno = 0;
		fprintf(f, "cold %d: %d", i, changed_cold(i));
		fprintf(f, " errno %d text '%s'\n", errno, last_text());
	}
	fprintf(f, "identity %#x input %d\n", changed_identity(), input != NULL);
	fprintf(f, "imports %d %d\n", changed_imports(0), changed_imports(1));
	for (i = 0; i < 3; i++) {
		p = changed_struct(p, v, 9);
		fprintf(f, "struct %ld %ld\n", p.a, p.b);
	}
	tls_public++;
	fprintf(f, "tls %d %d counter %d other %d\n", tls_public, private_tls(), *address_of_counter(), other_public);
	public_counter++;
}
