/* The least that shingling and MinHash of a text cost: no copies, no objects, one pass. Compiled and called by
   floor.py. Hashes are good enough to time, no more. */
#include <stdint.h>
#include <stddef.h>

#define NGRAM 5

/* Hashes of the word n-grams of `size` bytes; gives how many. `out` has room for size / 2 + 1. */
size_t shingles(const uint8_t *text, size_t size, uint32_t *out) {
    uint64_t last[NGRAM] = {0}, word = 0;
    size_t words = 0, count = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != ' ') {
            word = (word + text[i] + 1) * 0x9E3779B97F4A7C15u;
            continue;
        }
        if (!word) continue;
        for (int k = 0; k < NGRAM - 1; k++) last[k] = last[k + 1];
        last[NGRAM - 1] = word;
        word = 0;
        if (++words < NGRAM) continue;
        uint64_t h = 0;
        for (int k = 0; k < NGRAM; k++) h = (h + last[k]) * 0xBF58476D1CE4E5B9u;
        out[count++] = (uint32_t)(h >> 32);
    }
    return count;
}

/* The lowest of a * h + b over all shingles, for each of `n` permutations. */
void signature(const uint32_t *shingle, size_t count, const uint32_t *a, const uint32_t *b, uint32_t *out, size_t n) {
    for (size_t k = 0; k < n; k++) out[k] = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < n; k++) {
            uint32_t v = shingle[i] * a[k] + b[k];
            out[k] = v < out[k] ? v : out[k];
        }
}
