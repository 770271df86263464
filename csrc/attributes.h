/* Whether an object still has the attributes that it had, told by a few comparisons: a stamp is what
   there is to compare. It tells objects of one class apart. It cannot be put on every object, and a stamp
   of zeros is no object's. */
#ifndef MICROGRAD_ATTRIBUTES_H
#define MICROGRAD_ATTRIBUTES_H

#include <Python.h>

#if PY_VERSION_HEX < 0x030D0000

/* A dict has a number that no other dict has, and a new one after any change. */
typedef struct {
    PyObject *dict;
    Py_ssize_t place;       /* where the object keeps dict, from its start; at 0 it counts its references */
    unsigned long long version;
} Stamp;

static void put_stamp(Stamp *stamp, PyObject *o) {
    PyObject **dict = _PyObject_GetDictPtr(o);
    if (dict == NULL || *dict == NULL) return;
    stamp->dict = *dict;
    stamp->place = (char *)dict - (char *)o;
    stamp->version = ((PyDictObject *)stamp->dict)->ma_version_tag;
}

static inline int is_unchanged(const Stamp *stamp, PyObject *o) {
    return *(PyObject **)((char *)o + stamp->place) == stamp->dict
        && stamp->version == ((PyDictObject *)stamp->dict)->ma_version_tag;
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

static void put_stamp(Stamp *stamp, PyObject *o) {
    ValuesHead head;
    char *place = (char *)(o + 1);
    if (!(Py_TYPE(o)->tp_flags & Py_TPFLAGS_INLINE_VALUES)) return;
    memcpy(&head, place, sizeof(ValuesHead));
    if (!head.valid || head.count > FEW) return;
    memcpy(stamp->values, place + sizeof(ValuesHead), head.count * sizeof(PyObject *));
    for (int i = 0; i < head.count; i++)
        if (stamp->values[i] == NULL) return;       /* there are others, behind a gap */
    stamp->head = head;
}

static inline int is_unchanged(const Stamp *stamp, PyObject *o) {
    char *place = (char *)(o + 1);
    return stamp->head.valid && memcmp(&stamp->head, place, 4) == 0
        && memcmp(stamp->values, place + sizeof(ValuesHead), stamp->head.count * sizeof(PyObject *)) == 0;
}

#else

typedef int Stamp;
#define put_stamp(stamp, o)
#define is_unchanged(stamp, o) 0

#endif

static void take_stamp(Stamp *stamp) { memset(stamp, 0, sizeof(Stamp)); }

#endif
