long shared;

long other(void)
{
	return shared;
}
