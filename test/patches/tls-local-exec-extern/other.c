__thread long mine = 7;
