long shown = 7;
