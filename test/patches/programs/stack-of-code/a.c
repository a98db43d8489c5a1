#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
static int cmp0(const void *a, const void *b){ return *(int*)a-*(int*)b; }
__attribute__((noinline)) void sort(int *v, int n, int rev)
{
#ifdef NEW
	int cmp(const void *a, const void *b){ int d=*(int*)a-*(int*)b; return rev?-d:d; }
	qsort(v, n, sizeof *v, cmp);
#else
	qsort(v, n, sizeof *v, cmp0);
#endif
}
int main(void){ int v[]={2,3,1}; lp_apply(); sort(v,3,1); printf("%d %d %d\n", v[0],v[1],v[2]); return 0; }
