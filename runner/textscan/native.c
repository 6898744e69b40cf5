/* Looking through a text. The same answers as in __init__.py, which does it where this could not be built. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define SPREAD UINT64_C(0x9E3779B97F4A7C15)
#define BLOCK 128 /* bytes that a compiler can look at side by side; fewer than a byte can count */

/* What str.split() takes for white space in ASCII. */
static inline uint8_t is_space(uint8_t byte) {
    return (uint8_t)((byte == 32) | ((uint8_t)(byte - 9) < 5) | ((uint8_t)(byte - 28) < 4));
}

static inline uint8_t lower(uint8_t byte) { return (uint8_t)(byte + ((uint8_t)(byte - 65) < 26 ? 32 : 0)); }

/* The bytes of a text in ASCII, or NULL with an error set. */
static const uint8_t *bytes_of(PyObject *text, Py_ssize_t *length) {
    if (!PyUnicode_Check(text) || !PyUnicode_IS_ASCII(text)) {
        PyErr_SetString(PyExc_TypeError, "not a text in ASCII");
        return NULL;
    }
    *length = PyUnicode_GET_LENGTH(text);
    return PyUnicode_1BYTE_DATA(text);
}

static PyObject *words(PyObject *self, PyObject *text) {
    Py_ssize_t n, count = 0;
    const uint8_t *at = bytes_of(text, &n);
    if (!at) return NULL;
    if (n) count = !is_space(at[0]);
    for (Py_ssize_t i = 1; i < n;) {
        Py_ssize_t end = n - i < BLOCK ? n : i + BLOCK;
        uint8_t some = 0;
        for (; i < end; i++) some = (uint8_t)(some + (is_space(at[i - 1]) & (is_space(at[i]) ^ 1)));
        count += some;
    }
    return PyLong_FromSsize_t(count);
}

/* Where a word's first four letters stand is looked for side by side, the rest of it one by one. */
static PyObject *holds(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t n, size;
    const uint8_t *at, *word;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "holds takes a text and a word");
        return NULL;
    }
    if (!(at = bytes_of(args[0], &n)) || !(word = bytes_of(args[1], &size))) return NULL;
    if (size < 4) {
        PyErr_SetString(PyExc_ValueError, "a word of four letters or more");
        return NULL;
    }
    for (Py_ssize_t i = 0, last = n - size + 1; i < last;) {
        Py_ssize_t end = last - i < BLOCK ? last : i + BLOCK;
        uint8_t any = 0;
        for (Py_ssize_t j = i; j < end; j++)
            any |= (uint8_t)(((at[j] | 32) == word[0]) & ((at[j + 1] | 32) == word[1]) &
                             ((at[j + 2] | 32) == word[2]) & ((at[j + 3] | 32) == word[3]));
        for (; any && i < end; i++) {
            Py_ssize_t k = 0;
            while (k < size && lower(at[i + k]) == word[k]) k++;
            if (k == size) Py_RETURN_TRUE;
        }
        i = end;
    }
    Py_RETURN_FALSE;
}

static inline int stands_in(const uint64_t *table, Py_ssize_t size, int shift, uint64_t word) {
    for (uint64_t at = (word * SPREAD) >> shift;; at++) {
        uint64_t there = table[at & (uint64_t)(size - 1)];
        if (there == word) return 1;
        if (!there) return 0;
    }
}

/* The set is an open hash table of words as numbers: a word's bytes, the first one lowest; 0 is an empty place. Letters
 * that are not ASCII's make a word none of the set, but for the Kelvin sign, a K in lower case. */
static PyObject *among(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count < 3 || !PyUnicode_Check(args[0]) || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "among takes a text, a table, how much to look at, and where to begin");
        return NULL;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(args[0]), size = PyBytes_GET_SIZE(args[1]) / 8;
    Py_ssize_t wide = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred()) return NULL;
    if (size < 2 || (size & (size - 1))) {
        PyErr_SetString(PyExc_ValueError, "a table has a power of two places");
        return NULL;
    }
    const uint64_t *table = (const uint64_t *)PyBytes_AS_STRING(args[1]);
    int kind = PyUnicode_KIND(args[0]), shift = 64;
    const void *text = PyUnicode_DATA(args[0]);
    for (Py_ssize_t n = size; n > 1; n >>= 1) shift--;
    PyObject *out = PyTuple_New(2 * (count - 3));
    for (Py_ssize_t place = 3; out && place < count; place++) {
        Py_ssize_t begin = PyLong_AsSsize_t(args[place]), all = 0, found = 0;
        if (PyErr_Occurred()) {
            Py_CLEAR(out);
            break;
        }
        Py_ssize_t end = length - begin < wide ? length : begin + wide;
        for (Py_ssize_t i = begin < 0 ? end : begin; i < end;) {
            uint64_t word = 0;
            Py_ssize_t first = i;
            for (; i < end; i++) {
                Py_UCS4 one = PyUnicode_READ(kind, text, i);
                if (Py_UNICODE_ISSPACE(one)) break;
                if (one == 0x212A) one = 'k';
                uint64_t byte = one && one < 128 ? lower((uint8_t)one) : 255;
                if (i - first < 8) word |= byte << (8 * (i - first));
            }
            if (i == first) {
                i++;
                continue;
            }
            all++;
            if (i - first <= 8) found += stands_in(table, size, shift, word);
        }
        PyTuple_SET_ITEM(out, 2 * (place - 3), PyLong_FromSsize_t(found));
        PyTuple_SET_ITEM(out, 2 * (place - 3) + 1, PyLong_FromSsize_t(all));
    }
    return out;
}

static PyMethodDef methods[] = {
    {"words", words, METH_O, "How many words a text has."},
    {"holds", (PyCFunction)(void (*)(void))holds, METH_FASTCALL, "Whether a text holds a word, in any case."},
    {"among", (PyCFunction)(void (*)(void))among, METH_FASTCALL, "How many words of places are of a set, and how many there are."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Looking through a text.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
