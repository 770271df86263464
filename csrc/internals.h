/* What the engine takes for granted about CPython, and CPython does not promise: all of it, in one place.
   Each part says for which versions it is true. `check_internals`, called at import, looks whether it
   still is, so that a new CPython gives an ImportError and never a corrupted heap. */
#ifndef MICROGRAD_INTERNALS_H
#define MICROGRAD_INTERNALS_H

#include <Python.h>

/* The head of an object in memory of our own. All of the head is set, for it has more than a count and a
   type: from 3.14 on, flags beside the count say which references are counted. (Public, and inline
   where PyObject_Init is a call. Value and Run live as long as the process: instances own no reference
   to them.) */
static inline void init_head(PyObject *o, PyTypeObject *type) {
    memset(o, 0, sizeof(PyObject));
    Py_SET_REFCNT(o, 1);
    Py_SET_TYPE(o, type);
}

/* 3.10 to 3.15, with the GIL: the collector's list runs through two words before an object; the first is
   zero while the object is not tracked, and both are in a new one. */
typedef struct {
    uintptr_t next, previous;
} GCHead;

static inline int is_tracked(PyObject *o) {
    return ((GCHead *)o - 1)->next != 0;
}

/* Whether the collector's heads are as described, tried on an object of the engine. */
static int heads_are_as_described(PyObject *o) {
    GCHead *head = (GCHead *)o - 1;
    if (head->next != 0 || head->previous != 0 || PyObject_GC_IsTracked(o)) return 0;
    PyObject_GC_Track(o);
    int tracked = head->next != 0 && PyObject_GC_IsTracked(o);
    PyObject_GC_UnTrack(o);
    return tracked && head->next == 0 && !PyObject_GC_IsTracked(o);
}

#endif
