#include <cstdio>
#include <stdexcept>

struct Error : std::runtime_error {
	int code;
	Error(int code);
};

__attribute__((noinline)) int work(int x)
{
	if (x > 0)
		throw Error(12);
	return x;
}

__attribute__((noinline)) Error::Error(int code) : std::runtime_error("e"), code(code) {}
int main(int c, char **)
{
	try {
		return work(c);
	} catch (const Error &e) {
		std::printf("code %d\n", e.code);
	}
	return 0;
}
