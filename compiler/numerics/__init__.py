"""The meaning of subbyte: what every op computes, bit for bit (design.md section 4), in NumPy, without the IR.

Its only C twin is `targets/common/kernels/subbyte_numerics.h`; no other file rounds, saturates or requantizes.
"""
