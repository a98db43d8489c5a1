struct W {
	W(int v);
	virtual ~W();
	W(const W &) = default;
#ifdef NEW
	int more;
#endif
	int v;
	int value() const { return v; }
};
W *make();
