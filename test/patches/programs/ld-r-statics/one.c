static int count = 5;
static int __attribute__((noinline)) only(int x)
{
#ifdef NEW
	x += 7;
#endif
	return x * 3;
}
int one(int x) { return only(x) + count++; }
