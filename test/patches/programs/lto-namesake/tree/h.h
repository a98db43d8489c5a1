struct s { int a, b; }; int price(int n), rest(int n);
