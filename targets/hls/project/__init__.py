"""Prints the project of a design: C++, ROMs, a testbench with golden vectors, what builds and runs it with g++."""
