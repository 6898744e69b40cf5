"""The numbers that both kernels share. Changing one changes every key: raise the version of the steps that use them."""

from __future__ import annotations

CHUNK = 0x9E3779B97F4A7C15  # base of the polynomial over a word's bytes, eight at a time
WORD = 0xD6E8FEB86659FD93  # base of the polynomial over a shingle's words
WHOLE = 0xA0761D6478BD642F  # base of the polynomial over all words of a text; odd, so it has an inverse
WHOLE_INVERSE = pow(WHOLE, -1, 1 << 64)
LENGTH = 0xE7037ED1A0B428DB  # times the length, added before the finalizer
MIX32_1, MIX32_2 = 0x85EBCA6B, 0xC2B2AE35  # MurmurHash3's 32-bit finalizer, as affine32 has it
# ASCII's white space as str.split() knows it. Other kinds are gone before the kernels see a text.
SPACES = (9, 10, 11, 12, 13, 28, 29, 30, 31, 32)
