int work(int);
void lp_apply(void);
void other(void);
int main(void) { lp_apply(); other(); work(1); return 0; }
