/* What the engine assumes about CPython and CPython does not document: all of it, in one place.
   Each part says for which versions it is true. An assumption that could corrupt memory is checked
   at import (the end of value.pxi), so that a CPython without it gives an ImportError. */
#ifndef MICROGRAD_INTERNALS_H
#define MICROGRAD_INTERNALS_H

#include <Python.h>
#include <frameobject.h>

/* Fill in the head of an object in the engine's own memory. All of it is set, because it has more
   than a count and a type: from 3.14 on, flags next to the count say which references are counted.
   (These functions are public, and inline, where PyObject_Init is a call. Values and calls own no
   reference to their types, which live as long as the process.) */
static inline void init_head(PyObject *o, PyTypeObject *type) {
    memset(o, 0, sizeof(PyObject));
    Py_SET_REFCNT(o, 1);
    Py_SET_TYPE(o, type);
}

/* 3.10 to 3.15, with the GIL: two words before an object link it into the collector's list. The
   first is zero while the object is not tracked; in a new object both are. */
typedef struct {
    uintptr_t next, previous;
} GCHead;

static inline int is_tracked(PyObject *o) {
    return ((GCHead *)o - 1)->next != 0;
}

/* Do the work of a tp_dealloc; where the stack is deep in deallocations, once these are done. (The
   tp_dealloc of a subclass of the program's has seen to that, and from 3.14 on Python itself.) */
static inline void dealloc_by_turns(PyObject *o, destructor dealloc, void (*work)(PyObject *)) {
#ifdef Py_TRASHCAN_BEGIN
    Py_TRASHCAN_BEGIN(o, dealloc)
    work(o);
    Py_TRASHCAN_END
#else
    work(o);
#endif
}

/* Whether the collector's heads are as described: tried with an untracked object of the engine. */
static int heads_are_as_described(PyObject *o) {
    GCHead *head = (GCHead *)o - 1;
    if (head->next != 0 || head->previous != 0 || PyObject_GC_IsTracked(o)) return 0;
    PyObject_GC_Track(o);
    int tracked = head->next != 0 && PyObject_GC_IsTracked(o);
    PyObject_GC_UnTrack(o);
    return tracked && head->next == 0 && !PyObject_GC_IsTracked(o);
}

/* 3.10 to 3.15: a slot that Cython does not let one choose may be written after PyType_Ready, while
   the class has no subclass. Checked by the tests of subclasses. */
static inline void set_dict_offset(PyTypeObject *type, Py_ssize_t offset) {
    type->tp_dictoffset = offset;
    PyType_Modified(type);
}

/* The same in a subclass, at any time: Python writes its own function there again when the program
   changes what the class, or a base of it, has for that slot. */
static inline void set_slot(void *slot, void *function) {
    memcpy(slot, &function, sizeof function);
}

/* 3.10 to 3.15: the class's version: unique (in 3.10 until sys._clear_type_cache() is called), and
   new after each change; 0 while it has none. */
static inline unsigned int class_version(PyTypeObject *type) {
#if PY_VERSION_HEX < 0x030B0000
    if (!(type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG)) return 0;
#endif
    return type->tp_version_tag;
}

/* Give the class a version, and return it; NEVER, which no class has, where it gets none: from 3.13
   on, after a thousand changes. */
enum { NEVER = 0xFFFFFFFF };
static unsigned int new_class_version(PyTypeObject *type) {
#if PY_VERSION_HEX >= 0x030C0000
    PyUnstable_Type_AssignVersionTag(type);
#else
    PyObject *found = PyObject_GetAttrString((PyObject *)type, "__init__");
    if (found == NULL) PyErr_Clear();
    Py_XDECREF(found);
#endif
    unsigned int version = class_version(type);
    return version ? version : NEVER;
}

/* The class's own attributes; a new reference. */
static inline PyObject *dict_of_class(PyTypeObject *type) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyType_GetDict(type);
#else
    Py_INCREF(type->tp_dict);
    return type->tp_dict;
#endif
}

/* 3.10 to 3.15: an attribute of the class or its bases, from a cache by version; a borrowed
   reference, or NULL without an error. */
static inline PyObject *lookup(PyTypeObject *type, PyObject *name) {
    return _PyType_Lookup(type, name);
}

/* 3.10 to 3.15, numpy 1 and 2: a numpy.float64 is a float with another type. */
static inline int is_laid_out_as_float(PyTypeObject *type) {
    return PyType_IsSubtype(type, &PyFloat_Type) && type->tp_basicsize == PyFloat_Type.tp_basicsize;
}

static inline void set_float(PyObject *o, double x) { ((PyFloatObject *)o)->ob_fval = x; }

/* Cython (3.1 and 3.2) adds an entry to a traceback for each of the engine's functions, whose
   source is not installed. It leaves out an entry for which it can make no frame. */
#define PyFrame_New(state, code, globals, locals) ((PyFrameObject *)NULL)

/* A class made in C, whose special methods run no Python code. */
static inline int is_static_type(PyTypeObject *type) {
    return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

#endif
