/* Whether an object still has the attributes that it had, told by a few comparisons: a stamp is what
   there is to compare, and cannot be put on every object. */
#ifndef MICROGRAD_ATTRIBUTES_H
#define MICROGRAD_ATTRIBUTES_H

#include <Python.h>

#if PY_VERSION_HEX < 0x030D0000

/* A dict has a number that no other dict has, and a new one after any change. */
typedef struct {
    PyObject **slot;        /* where the object keeps its __dict__ */
    PyObject *dict;
    unsigned long long version;
} Stamp;

static int put_stamp(Stamp *stamp, PyObject *o) {
    stamp->slot = _PyObject_GetDictPtr(o);
    if (stamp->slot == NULL || *stamp->slot == NULL) return 0;
    stamp->dict = *stamp->slot;
    stamp->version = ((PyDictObject *)stamp->dict)->ma_version_tag;
    return 1;
}

static inline int is_unchanged(const Stamp *stamp, PyObject *o) {
    (void)o;
    return *stamp->slot == stamp->dict && stamp->version == ((PyDictObject *)stamp->dict)->ma_version_tag;
}

#elif PY_VERSION_HEX < 0x030E0000

/* An object of a class without slots holds the values itself, behind a word that says how many they are
   and whether they still count; its __dict__ is but a view of them. (struct _dictvalues of CPython.) Two
   values are taken for the same by their addresses: who asks keeps those alive that matter. */
enum { FEW = 6 };
typedef struct {
    unsigned char capacity, count, embedded, valid, unused[4];
} ValuesHead;
typedef struct {
    ValuesHead head;
    PyObject *values[FEW];  /* borrowed */
} Stamp;

static int put_stamp(Stamp *stamp, PyObject *o) {
    char *place = (char *)(o + 1);
    if (!(Py_TYPE(o)->tp_flags & Py_TPFLAGS_INLINE_VALUES)) return 0;
    memcpy(&stamp->head, place, sizeof(ValuesHead));
    if (!stamp->head.valid || stamp->head.count > FEW) return 0;
    memcpy(stamp->values, place + sizeof(ValuesHead), stamp->head.count * sizeof(PyObject *));
    for (int i = 0; i < stamp->head.count; i++)
        if (stamp->values[i] == NULL) return 0;     /* there are others, behind a gap */
    return 1;
}

static inline int is_unchanged(const Stamp *stamp, PyObject *o) {
    char *place = (char *)(o + 1);
    return memcmp(&stamp->head, place, 4) == 0
        && memcmp(stamp->values, place + sizeof(ValuesHead), stamp->head.count * sizeof(PyObject *)) == 0;
}

#else

typedef int Stamp;
#define put_stamp(stamp, o) 0
#define is_unchanged(stamp, o) 0

#endif
#endif
