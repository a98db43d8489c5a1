static int measure(const int *v, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += v[i] * 7 ^ (sum >> 3);
	return sum;
}
int (*on_b)(const int *, int) = measure;
