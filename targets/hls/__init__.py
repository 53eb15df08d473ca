"""The target `hls`: a self-contained C++ project for high-level synthesis, exact before any vendor tool runs."""
