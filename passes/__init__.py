"""The passes, one verb a file: `passes/NAME.py` holds the pass `NAME`; packages hold what a pass is made of."""
