struct Failure {
	virtual ~Failure();
	int code;
};

extern int cleaned;
int leaf(int x); // throws above 5
int through(int x);
int catches(int x);
