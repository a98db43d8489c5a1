extern const int limit;
#ifdef NEW
__attribute__((weak)) const int limit = 20;
#endif
int other(int x) { return x * limit; }
