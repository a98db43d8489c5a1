static int count = 100;
int two(int x) { return count++ + x; }
int three(int x)
{
#ifdef COUNT
	count += x;
#endif
	return x + 3 + count;
}
