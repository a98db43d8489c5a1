struct point { int x, y; };
int copy_field(const char *s, char *out, int max);
int parse(const char *s);
int other(int n);
int archived(int n);
int turn(int n);
int run(void);
void lp_apply(void);
