/* The compiled kernel: one pass over the bytes of each row. The same bits as numpy_kernel.py, which explains them.
 *
 * It is built where there is a C compiler at installation, and done without where there is none. All memory for what
 * goes in and out is numpy's; every function lets go of the interpreter while it works.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* constants.py, which says what they are for. */
#define CHUNK UINT64_C(0x9E3779B97F4A7C15)
#define WORD UINT64_C(0xD6E8FEB86659FD93)
#define WHOLE UINT64_C(0xA0761D6478BD642F)
#define LENGTH UINT64_C(0xE7037ED1A0B428DB)
#define MIX_1 UINT64_C(0xFF51AFD7ED558CCD)
#define MIX_2 UINT64_C(0xC4CEB9FE1A85EC53)
#define BLOCK 32 /* permutations whose lowest values stay in registers */

/* The same function for what the processor at hand can do, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

static inline uint64_t final64(uint64_t state) {
    state ^= state >> 33;
    state *= MIX_1;
    state ^= state >> 33;
    state *= MIX_2;
    state ^= state >> 33;
    return state;
}

static inline uint32_t mixed32(uint64_t shingle) {
    uint32_t mixed = (uint32_t)shingle;
    mixed ^= mixed >> 16;
    mixed *= UINT32_C(0x85EBCA6B);
    mixed ^= mixed >> 13;
    mixed *= UINT32_C(0xC2B2AE35);
    mixed ^= mixed >> 16;
    return mixed;
}

/* What str.split() takes for white space in ASCII. */
static inline int is_space(uint8_t byte) {
    return byte == 32 || (uint8_t)(byte - 9) < 5 || (uint8_t)(byte - 28) < 4;
}

/* One row's memory: its bytes in lower case with eight zeros after them, a bit a byte for white space, its tokens. */
typedef struct {
    uint8_t *text;
    uint64_t *space;
    uint64_t *token;
    uint64_t *shingle;
    uint64_t *other;
    uint32_t *mixed;
} Scratch;

static void release(Scratch *s) {
    free(s->text);
    free(s->space);
    free(s->token);
    free(s->shingle);
    free(s->other);
    free(s->mixed);
}

static int acquire(Scratch *s, Py_ssize_t longest) {
    size_t n = (size_t)longest + 1;
    memset(s, 0, sizeof *s);
    s->text = malloc(n + 80);
    s->space = malloc((n / 64 + 2) * sizeof(uint64_t));
    s->token = malloc(n * sizeof(uint64_t));
    s->shingle = malloc(n * sizeof(uint64_t));
    s->other = malloc(n * sizeof(uint64_t));
    s->mixed = malloc(n * sizeof(uint32_t));
    if (s->text && s->space && s->token && s->shingle && s->other && s->mixed) return 1;
    release(s);
    return 0;
}

static void lower(const uint8_t *data, Py_ssize_t n, Scratch *s) {
    for (Py_ssize_t i = 0; i < n; i++) {
        uint8_t byte = data[i];
        s->text[i] = (uint8_t)(byte + ((uint8_t)(byte - 65) < 26 ? 32 : 0));
    }
    memset(s->text + n, ' ', 72); /* a row's end ends a word */
}

static void mark_spaces(Py_ssize_t n, Scratch *s) {
    for (Py_ssize_t block = 0; block * 64 < n + 1; block++) {
        const uint8_t *at = s->text + block * 64;
        uint64_t bits = 0;
#ifdef __SSE2__
        for (int part = 0; part < 4; part++) {
            __m128i v = _mm_loadu_si128((const __m128i *)(at + 16 * part));
            __m128i blank = _mm_cmpeq_epi8(v, _mm_set1_epi8(32));
            /* unsigned b - 9 < 5, and b - 28 < 4 */
            __m128i tabs = _mm_sub_epi8(v, _mm_set1_epi8(9));
            tabs = _mm_cmpeq_epi8(_mm_min_epu8(tabs, _mm_set1_epi8(4)), tabs);
            __m128i parts = _mm_sub_epi8(v, _mm_set1_epi8(28));
            parts = _mm_cmpeq_epi8(_mm_min_epu8(parts, _mm_set1_epi8(3)), parts);
            __m128i any = _mm_or_si128(blank, _mm_or_si128(tabs, parts));
            bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(any) << (16 * part);
        }
#else
        for (int i = 0; i < 64; i++) bits |= (uint64_t)is_space(at[i]) << i;
#endif
        s->space[block] = bits;
    }
}

/* Eight bytes, the first one lowest. */
static inline uint64_t eight(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline uint64_t hashed(const uint8_t *at, Py_ssize_t n) {
    uint64_t state = 0, power = 1;
    Py_ssize_t left = n;
    for (; left > 8; left -= 8, at += 8, power *= CHUNK) state += eight(at) * power;
    uint64_t mask = left == 8 ? ~UINT64_C(0) : (UINT64_C(1) << (8 * left)) - 1;
    state += (eight(at) & mask) * power;
    return final64(state + (uint64_t)n * LENGTH);
}

static Py_ssize_t words(const uint8_t *data, Py_ssize_t n, Scratch *s) {
    Py_ssize_t count = 0, first = 0;
    lower(data, n, s);
    mark_spaces(n, s);
    for (Py_ssize_t block = 0; block * 64 < n + 1; block++) {
        uint64_t bits = s->space[block];
        while (bits) {
            Py_ssize_t at = block * 64 + __builtin_ctzll(bits);
            bits &= bits - 1;
            if (at > n) break;
            if (at > first) s->token[count++] = hashed(s->text + first, at - first);
            first = at + 1;
        }
    }
    return count;
}

/* White space between words is one space; at either end it is nothing. */
static Py_ssize_t characters(const uint8_t *data, Py_ssize_t n, Scratch *s) {
    Py_ssize_t count = 0, i = 0;
    int gap = 0;
    lower(data, n, s);
    while (i < n) {
        if (is_space(s->text[i])) {
            gap = count > 0;
            i++;
            continue;
        }
        if (gap) s->token[count++] = final64(UINT64_C(32) + LENGTH);
        gap = 0;
        Py_ssize_t first = i++;
        while (i < n && (s->text[i] & 0xC0) == 0x80) i++;
        s->token[count++] = hashed(s->text + first, i - first);
    }
    return count;
}

static inline Py_ssize_t tokens(const uint8_t *data, Py_ssize_t n, int by_character, Scratch *s) {
    return by_character ? characters(data, n, s) : words(data, n, s);
}

/* Shingles of one row's tokens into `out`; how many, at least one. */
static Py_ssize_t grams(const uint64_t *token, Py_ssize_t count, Py_ssize_t ngram, uint64_t *out) {
    Py_ssize_t size = count < ngram ? count : ngram, n = 1;
    uint64_t length = (uint64_t)size * LENGTH, state = 0, leaves = 1;
    for (Py_ssize_t i = 0; i < size; i++) {
        state = state * WORD + token[i];
        leaves *= WORD;
    }
    out[0] = final64(state + length);
    for (Py_ssize_t i = size; i < count; i++) {
        state = state * WORD + token[i] - token[i - size] * leaves;
        out[n++] = final64(state + length);
    }
    return n;
}

FOR_EACH_PROCESSOR
static void lowest(const uint32_t *mixed, Py_ssize_t n, const uint32_t *a, const uint32_t *b, uint32_t *out) {
    uint32_t low[BLOCK];
    for (int k = 0; k < BLOCK; k++) low[k] = UINT32_MAX;
    for (Py_ssize_t i = 0; i < n; i++) {
        uint32_t m = mixed[i];
        for (int k = 0; k < BLOCK; k++) {
            uint32_t value = m * a[k] + b[k];
            low[k] = value < low[k] ? value : low[k];
        }
    }
    memcpy(out, low, sizeof low);
}

/* Ascending, each once: by two digits of 8 bits from the top, then by insertion. How many are left. */
static Py_ssize_t sorted(uint64_t *keys, uint64_t *other, Py_ssize_t n) {
    for (int shift = 48; shift <= 56; shift += 8) {
        Py_ssize_t place[257] = {0};
        for (Py_ssize_t i = 0; i < n; i++) place[((keys[i] >> shift) & 255) + 1]++;
        for (int d = 0; d < 256; d++) place[d + 1] += place[d];
        for (Py_ssize_t i = 0; i < n; i++) other[place[(keys[i] >> shift) & 255]++] = keys[i];
        uint64_t *swap = keys;
        keys = other;
        other = swap;
    }
    for (Py_ssize_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        Py_ssize_t j = i;
        for (; j && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
    Py_ssize_t last = 0;
    for (Py_ssize_t i = 1; i < n; i++)
        if (keys[i] != keys[last]) keys[++last] = keys[i];
    return last + 1;
}

static Py_ssize_t longest_row(const int64_t *ends, Py_ssize_t rows) {
    int64_t longest = 0, begin = 0;
    for (Py_ssize_t row = 0; row < rows; begin = ends[row++])
        if (ends[row] - begin > longest) longest = ends[row] - begin;
    return (Py_ssize_t)longest;
}

static PyObject *scan(PyObject *self, PyObject *args) {
    Py_buffer data, ends, a, b, whole, length, keys;
    Py_ssize_t ngram, bands, width;
    int by_character, fine = 0;
    if (!PyArg_ParseTuple(args, "y*y*npy*y*nnw*w*w*", &data, &ends, &ngram, &by_character, &a, &b, &bands, &width,
                          &whole, &length, &keys))
        return NULL;
    Py_ssize_t rows = ends.len / (Py_ssize_t)sizeof(int64_t), count = bands * width;
    Py_ssize_t blocks = (count + BLOCK - 1) / BLOCK;
    Scratch s;
    uint32_t *mine = calloc((size_t)(3 * blocks * BLOCK + 1), sizeof(uint32_t));
    if (mine && acquire(&s, longest_row(ends.buf, rows))) {
        Py_BEGIN_ALLOW_THREADS;
        uint32_t *x = mine, *y = mine + blocks * BLOCK, *low = y + blocks * BLOCK;
        const int64_t *end = ends.buf;
        memcpy(x, a.buf, (size_t)count * sizeof(uint32_t));
        memcpy(y, b.buf, (size_t)count * sizeof(uint32_t));
        int64_t begin = 0;
        for (Py_ssize_t row = 0; row < rows; begin = end[row++]) {
            Py_ssize_t n = tokens((const uint8_t *)data.buf + begin, end[row] - begin, by_character, &s);
            uint64_t state = 0;
            for (Py_ssize_t i = 0; i < n; i++) state = state * WHOLE + s.token[i];
            ((uint64_t *)whole.buf)[row] = final64(state + (uint64_t)n * LENGTH);
            ((uint32_t *)length.buf)[row] = (uint32_t)n;
            if (!bands) continue;
            Py_ssize_t number = grams(s.token, n, ngram, s.shingle);
            for (Py_ssize_t i = 0; i < number; i++) s.mixed[i] = mixed32(s.shingle[i]);
            for (Py_ssize_t block = 0; block < blocks; block++)
                lowest(s.mixed, number, x + block * BLOCK, y + block * BLOCK, low + block * BLOCK);
            for (Py_ssize_t band = 0; band < bands; band++) {
                uint64_t key = 0;
                for (Py_ssize_t i = band * width; i < (band + 1) * width; i++) key = key * WORD + low[i];
                ((uint64_t *)keys.buf)[band * rows + row] = final64(key);
            }
        }
        Py_END_ALLOW_THREADS;
        release(&s);
        fine = 1;
    }
    free(mine);
    PyBuffer_Release(&data);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    PyBuffer_Release(&whole);
    PyBuffer_Release(&length);
    PyBuffer_Release(&keys);
    if (!fine) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* Shingles of all rows, in order or sorted, into `out`; where each row's begin or end into `places`; how many. */
static PyObject *collect(PyObject *args, int sort) {
    Py_buffer data, ends, out, places;
    Py_ssize_t ngram, n = -1;
    int by_character;
    if (!PyArg_ParseTuple(args, "y*y*npw*w*", &data, &ends, &ngram, &by_character, &out, &places)) return NULL;
    Py_ssize_t rows = ends.len / (Py_ssize_t)sizeof(int64_t);
    Scratch s;
    if (acquire(&s, longest_row(ends.buf, rows))) {
        Py_BEGIN_ALLOW_THREADS;
        const int64_t *end = ends.buf;
        uint64_t *to = out.buf;
        int64_t *place = places.buf, begin = 0;
        n = 0;
        for (Py_ssize_t row = 0; row < rows; begin = end[row++]) {
            Py_ssize_t count = tokens((const uint8_t *)data.buf + begin, end[row] - begin, by_character, &s);
            place[row] = n;
            count = grams(s.token, count, ngram, to + n);
            n += sort ? sorted(to + n, s.other, count) : count;
            if (sort) place[row] = n;
        }
        Py_END_ALLOW_THREADS;
        release(&s);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&out);
    PyBuffer_Release(&places);
    return n < 0 ? PyErr_NoMemory() : PyLong_FromSsize_t(n);
}

static PyObject *shingles(PyObject *self, PyObject *args) { return collect(args, 0); }

static PyObject *sets(PyObject *self, PyObject *args) { return collect(args, 1); }

static PyObject *similarities(PyObject *self, PyObject *args) {
    Py_buffer sets, ends, one, other, out;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*", &sets, &ends, &one, &other, &out)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    const uint64_t *set = sets.buf;
    const int64_t *end = ends.buf, *first = one.buf, *second = other.buf;
    Py_ssize_t pairs = one.len / (Py_ssize_t)sizeof(int64_t);
    for (Py_ssize_t n = 0; n < pairs; n++) {
        int64_t i = first[n] ? end[first[n] - 1] : 0, j = second[n] ? end[second[n] - 1] : 0;
        int64_t i_end = end[first[n]], j_end = end[second[n]], total = i_end - i + j_end - j, shared = 0;
        while (i < i_end && j < j_end) {
            uint64_t a = set[i], b = set[j];
            shared += a == b;
            i += a <= b;
            j += b <= a;
        }
        ((double *)out.buf)[n] = (double)shared / (double)(total - shared);
    }
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&sets);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&one);
    PyBuffer_Release(&other);
    PyBuffer_Release(&out);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS, "See numpy_kernel.scan; the arrays to fill come last."},
    {"shingles", shingles, METH_VARARGS, "See numpy_kernel.shingles; returns how many there are."},
    {"sets", sets, METH_VARARGS, "See numpy_kernel.sets; returns how many there are."},
    {"similarities", similarities, METH_VARARGS, "See numpy_kernel.similarities."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "The compiled kernel.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
