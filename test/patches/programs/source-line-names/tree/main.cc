#include <cstdio>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define ENTER(name) Scope JOIN(scope, __LINE__)(name)

template <int line> bool first()
{
	static int n;
	return n++ == 0;
}

struct Scope {
	const char *name;
	explicit Scope(const char *name) : name(name) {}
	~Scope() { std::printf("left %s\n", name); }
};

__attribute__((noinline)) void work(int x)
{
	ENTER("work");
	if (first<__LINE__>())
		std::printf("%d for the first time\n", x);
}

__attribute__((noinline)) void report(int x)
{
	std::printf("report %d\n", x);
}

int main(int c, char **)
{
	for (int i = 0; i < 3; i++)
		work(c + i);
	report(c);
	return 0;
}
