"""Tables of rows that stand for themselves: each is one process, and says what runs in it and what is compared."""
