#include <cstdio>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>
extern "C" void lp_apply(void);
struct W { int a; std::string s; std::map<int, std::string> m; };
__attribute__((noinline)) std::string text(W &w)
{
#ifdef NEW
	std::ostringstream out;
	std::vector<std::string> v;
	for (int i = 0; i < w.a; i++)
		v.push_back(w.s);
	for (auto &x : v)
		out << x << ",";
	for (auto &x : w.m)
		out << x.second;
	std::optional<int> last = w.a;
	out << *last;
	return out.str();
#else
	return std::to_string(w.a);
#endif
}
int main()
{
	W w{3, "abc", {{1, "one"}}};
	lp_apply();
	std::puts(text(w).c_str());
}
