int third(int x) { return x; }
#ifdef NEW
int getppid(void) { return 0; }
#endif
