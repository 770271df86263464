/* What the engine assumes about CPython and CPython does not document: all of it, in one place. Each part
   says for which versions it is true. An assumption that could corrupt memory is checked at import (the end
   of value.pxi), so that a CPython without it gives an ImportError. */
#ifndef MICROGRAD_INTERNALS_H
#define MICROGRAD_INTERNALS_H

#include <Python.h>
#include <frameobject.h>

/* Fill in the head of an object in the engine's own memory. All of it is set, because it has more than a
   count and a type: from 3.14 on, flags next to the count say which references are counted. (These functions
   are public, and inline, where PyObject_Init is a call. Values and calls own no reference to their types,
   which live as long as the process.) */
static inline void init_head(PyObject *o, PyTypeObject *type) {
    memset(o, 0, sizeof(PyObject));
    Py_SET_REFCNT(o, 1);
    Py_SET_TYPE(o, type);
}

/* 3.10 to 3.15, with the GIL: two words before an object link it into the collector's list. The first is zero
   while the object is not tracked; in a new object both are. */
typedef struct {
    uintptr_t next, previous;
} GCHead;

static inline int is_tracked(PyObject *o) {
    return ((GCHead *)o - 1)->next != 0;
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

/* 3.10 to 3.15: a slot that Cython does not let one choose may be written after PyType_Ready, while the class
   has no subclass. Checked by the tests of subclasses. */
static inline void set_dict_offset(PyTypeObject *type, Py_ssize_t offset) {
    type->tp_dictoffset = offset;
    PyType_Modified(type);
}

/* 3.10 to 3.15: the class's version: unique, and new after each change; 0 while it has none. */
static inline unsigned int class_version(PyTypeObject *type) {
#if PY_VERSION_HEX < 0x030B0000
    if (!(type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG)) return 0;
#endif
    return type->tp_version_tag;
}

/* Whether classes are as they were when last looked at. 3.12 and later call a watcher for each change (which
   is public); for older ones, versions are compared. The first class watched is Value. */
#if PY_VERSION_HEX >= 0x030C0000
static int classes_changed = 1;

static int on_class_change(PyTypeObject *type) {
    classes_changed = 1;
    return 0;
}

static void forget_classes(void) { classes_changed = 1; }
static void begin_to_watch(void) { classes_changed = 0; }

/* Where no watcher is free, or CPython calls it no more because the class has changed too often, the class
   counts as changed for ever. */
static void watch_class(PyTypeObject *type) {
    static int watcher = -1;
    if (watcher < 0) watcher = PyType_AddWatcher(on_class_change);
    if (watcher < 0 || PyType_Watch(watcher, (PyObject *)type) < 0) PyErr_Clear(), classes_changed = 1;
    else if (!PyUnstable_Type_AssignVersionTag(type)) classes_changed = 1;
}

static void see_classes(void) {}
static inline int value_is_as_seen(void) { return !classes_changed; }
static inline int classes_are_as_seen(void) { return value_is_as_seen(); }

#else
enum { WATCHED = 8, NEVER = 0xFFFFFFFF };
static PyTypeObject *watched_classes[WATCHED] = {&PyBaseObject_Type};
static unsigned int seen_versions[WATCHED] = {NEVER};
static int watched_count = 0;

static void forget_classes(void) { seen_versions[0] = NEVER; }

static void begin_to_watch(void) {
    watched_count = 0;
    seen_versions[0] = NEVER;
}

static void watch_class(PyTypeObject *type) {
    PyObject *found = PyObject_GetAttrString((PyObject *)type, "__init__");     /* which gives it a version */
    if (found == NULL) PyErr_Clear();
    Py_XDECREF(found);
    if (watched_count < WATCHED) watched_classes[watched_count++] = type;
}

static void see_classes(void) {
    for (int i = 0; i < watched_count; i++) {
        seen_versions[i] = class_version(watched_classes[i]);
        if (seen_versions[i] == 0) seen_versions[i] = NEVER;
    }
}

static inline int value_is_as_seen(void) { return class_version(watched_classes[0]) == seen_versions[0]; }

static inline int classes_are_as_seen(void) {
    for (int i = 0; i < watched_count; i++)
        if (class_version(watched_classes[i]) != seen_versions[i]) return 0;
    return watched_count > 0;
}
#endif

/* 3.10 to 3.15, numpy 1 and 2: a numpy.float64 is a float with another type. */
static inline int is_laid_out_as_float(PyTypeObject *type) {
    return PyType_IsSubtype(type, &PyFloat_Type) && type->tp_basicsize == PyFloat_Type.tp_basicsize;
}

static inline void set_float(PyObject *o, double x) { ((PyFloatObject *)o)->ob_fval = x; }

/* Cython (3.1 and 3.2) adds an entry to a traceback for each of the engine's functions, whose source is not
   installed. It leaves out an entry for which it can make no frame. */
#define PyFrame_New(state, code, globals, locals) ((PyFrameObject *)NULL)

/* A class made in C, whose special methods run no Python code. */
static inline int is_static_type(PyTypeObject *type) { return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE); }

#endif
