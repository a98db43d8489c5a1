long hook(long x)
{
	return x + 9;
}
