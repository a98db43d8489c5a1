#include "h.h"
static struct s st = { 3, 4 };
int price(int n) { return n * 7 + st.a; }
