#ifndef NEW
int limit(void) { return 20; }
#endif
int other(int x) { return x * 3; }
