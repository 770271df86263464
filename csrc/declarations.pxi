# What the parts below use of C: its library, Python's C API, and the headers of this folder except
# replay.h.

cimport cython
from cpython.buffer cimport (Py_buffer, PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release,
                             PyObject_CheckBuffer, PyObject_GetBuffer)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytearray cimport PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear, PyErr_Occurred, PyErr_SetInterrupt
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.number cimport PyNumber_Add, PyNumber_InPlaceAdd, PyNumber_Multiply
from cpython.number cimport PyNumber_Negative, PyNumber_Power, PyNumber_Subtract
from libc.math cimport NAN, isfinite, pow, sqrt
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

import gc
import sys

from micrograd import _bases, _templates

cdef extern from "Python.h":
    ctypedef struct PyObject:
        PyTypeObject* ob_type
    ctypedef int (*visitproc)(PyObject*, void*) noexcept
    ctypedef struct PyNumberMethods:
        void* nb_add
        void* nb_multiply
        int (*nb_bool)(PyObject*) except -1
    ctypedef struct PyTypeObject:
        const char* tp_name
        const char* tp_doc
        PyObject* tp_mro
        PyNumberMethods* tp_as_number
        void* tp_getattro
        void* tp_setattro
        void* tp_hash
        object (*tp_richcompare)(object, object, int)
        Py_ssize_t tp_dictoffset, tp_weaklistoffset, tp_vectorcall_offset
        PyObject* (*tp_alloc)(PyTypeObject*, Py_ssize_t) noexcept
        void (*tp_free)(void*) noexcept
        void (*tp_dealloc)(PyObject*) noexcept
        int (*tp_traverse)(PyObject*, visitproc, void*) noexcept
        int (*tp_clear)(PyObject*) noexcept
        void* tp_vectorcall
        PyObject* (*tp_call)(PyObject*, PyObject*, PyObject*) noexcept
        void* tp_new
        void* tp_finalize
        unsigned long tp_flags
        PyObject* (*tp_descr_get)(PyObject*, PyObject*, PyObject*) noexcept
    PyTypeObject* Py_TYPE(PyObject*) noexcept
    void Py_INCREF(PyObject*) noexcept
    void Py_DECREF(PyObject*) noexcept
    void Py_XDECREF(PyObject*) noexcept
    void Py_CLEAR(PyObject*) noexcept       # sets it to NULL first
    void Py_XSETREF(PyObject*, PyObject*) noexcept      # sets it, then releases what it was
    void PyObject_GC_Track(void*) noexcept
    void PyObject_GC_UnTrack(void*) noexcept
    bint PyObject_IS_GC(PyObject*) noexcept
    void PyObject_ClearWeakRefs(PyObject*) noexcept
    int PyObject_CallFinalizerFromDealloc(PyObject*) noexcept
    void PyType_Modified(PyTypeObject*) noexcept
    int Py_EnterRecursiveCall(const char*) except *
    void Py_LeaveRecursiveCall() noexcept
    PyObject* PyErr_NoMemory() noexcept
    void PyErr_SetObject(PyObject*, PyObject*) noexcept
    PyObject* PyExc_AttributeError
    bint PyOS_InterruptOccurred() noexcept
    int check_signals "PyErr_CheckSignals"() noexcept
    unsigned long PyThread_get_thread_ident() noexcept
    bint PyGC_Disable() noexcept
    bint PyGC_Enable() noexcept
    bint PyFloat_CheckExact(PyObject*) noexcept
    bint PyFloat_Check(PyObject*) noexcept
    bint PyLong_CheckExact(PyObject*) noexcept
    double PyFloat_AS_DOUBLE(PyObject*) noexcept
    long long PyLong_AsLongLongAndOverflow(PyObject*, int*) noexcept
    double PyFloat_AsDouble(PyObject*) noexcept
    bint PyObject_IsTrue(PyObject*) noexcept
    int PyObject_IsInstance(PyObject*, PyObject*) except -1
    Py_hash_t PyObject_HashNotImplemented(PyObject*) noexcept
    PyObject* PyNumber_Index(PyObject*) noexcept
    bint PyType_IsSubtype(PyTypeObject*, PyTypeObject*) noexcept
    PyObject* PyDict_GetItemWithError(PyObject*, PyObject*) except? NULL
    Py_ssize_t PyDict_Size(PyObject*) noexcept
    bint PyDict_Next(PyObject*, Py_ssize_t*, PyObject**, PyObject**) noexcept
    bint PyUnicode_CheckExact(PyObject*) noexcept
    object PyObject_RichCompare(object, object, int)
    enum: Py_LE, Py_EQ, Py_NE
    int PyUnicode_Compare(PyObject*, PyObject*) noexcept
    Py_ssize_t Py_REFCNT(PyObject*) noexcept
    Py_ssize_t PyList_GET_SIZE(PyObject*) noexcept
    Py_ssize_t PySequence_Fast_GET_SIZE(PyObject*) noexcept
    PyObject** PySequence_Fast_ITEMS(PyObject*) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject*) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject*, Py_ssize_t) noexcept

cdef extern from *:
    """
    #define steal(p) ((PyObject *)(p))
    """
    PyTypeObject* function_type "&PyFunction_Type"
    object PyFunction_NewWithQualName(object code, object globals, object name)
    int PyFunction_SetClosure(object, object) except -1
    PyObject* PyFunction_GetCode(PyObject*) noexcept
    PyObject* PyFunction_GetClosure(PyObject*) noexcept
    object PyCell_New(object)
    PyObject* PyCell_GET(PyObject*) noexcept
    object steal(PyObject*)     # as an object that Cython releases; p is a new reference
    size_t PyVectorcall_NARGS(size_t) noexcept
    enum: PY_VECTORCALL_ARGUMENTS_OFFSET
    enum: Py_TPFLAGS_IS_ABSTRACT
    PyObject* PyObject_Vectorcall(PyObject*, PyObject**, size_t, PyObject*) noexcept

cdef inline void* checked(void* memory) except NULL:
    """The memory; MemoryError where there is none."""
    if memory == NULL:
        raise MemoryError
    return memory

cdef extern from "internals.h":
    ctypedef struct GCHead:         # what the garbage collector keeps before an object
        size_t next, previous
    void init_head(PyObject*, PyTypeObject*) noexcept
    bint is_tracked(PyObject*) noexcept
    void dealloc_by_turns(PyObject*, void (*dealloc)(PyObject*) noexcept,
                          void (*work)(PyObject*) noexcept) noexcept
    bint heads_are_as_described(PyObject*) noexcept
    void set_dict_offset(PyTypeObject*, Py_ssize_t) noexcept
    void set_slot(void* slot, void* function) noexcept
    unsigned int class_version(PyTypeObject*) noexcept
    unsigned int new_class_version(PyTypeObject*) noexcept
    enum: NEVER
    object dict_of_class(PyTypeObject*)
    PyObject* lookup(PyTypeObject*, PyObject*) noexcept
    bint is_laid_out_as_float(PyTypeObject*) noexcept
    void set_float(PyObject*, double) noexcept
    bint is_static_type(PyTypeObject*) noexcept

cdef extern from "ops.h" nogil:
    enum: OBJECT, NUMPY, FLOAT32, REAL, INTEGER, PACKED
    enum: ADD, MUL, POW, RELU
    enum: EXP, LOG, LOG1P, TAN, ERF, GELU, TANH, SIGMOID, SIN, COS, SQRT, ABS, SOFTPLUS
    enum: LEAKY_RELU, MAXIMUM, MINIMUM, POWER
    enum: LEAF, CUSTOM, CUSTOM_PREV, LOCAL, OUTPUT, CALL, OPERATION_END
    bint is_custom(int op)
    bint is_operation(int op)
    double SLOPE
    const char* const* names
    const char* const* symbols
    const char* operand_counts
    const char* gradients
    ctypedef struct Number:
        double x
        int kind
    ctypedef struct Pair:
        Number a, b
    Number apply(int op, double a, int A, double b, int B)
    Pair derivatives(int op, double a, int A, double b, int B, double y, int Y, double g, int G)
    bint is_plain(Number)
    bint is_plain_result(Number)
    Number plus(Number, Number)
    Number times(Number, Number)

cdef extern from "layer.h" nogil:
    ctypedef unsigned char Kind
    ctypedef struct Layer:
        int nin, nout, width, relu
        const void* w
        const Kind* op
    ctypedef struct Arithmetic:
        const char* name
        void (*sums)(int rows, int nin, int width, const double* w, const double* x, long stride,
                     double* y) noexcept
        Kind (*outputs)(int nout, bint relu, const Kind* w_kind, Kind x_kinds, const double* sum,
                        double* y, Kind* y_kind) noexcept
        void (*outputs_backward)(int nout, bint relu, const double* y, const Kind* y_kind,
                                 const double* g, const Kind* g_kind,
                                 double* sum_grad, Kind* sum_grad_kind) noexcept
        void (*sums_backward)(int nin, int width, const double* w, const double* x, const double* g,
                              double* dw, double* dx) noexcept
        int (*predict[2])(const Layer* layers, int depth, int rows, const void* inputs,
                          void* numbers, long room, double* y, unsigned char* odd) noexcept
    const Arithmetic* arithmetics   # each one for wider vectors than the one before
    enum: NO_GRADIENT
    void kinds_backward(int nin, int nout, int width, const Kind* w, const Kind* x, const Kind* g,
                        Kind* dw, Kind* dx)
    Kind common_kind(int rows, int nout, int width, const Kind* kinds)
    int arithmetic_count()          # how many of them this processor can run
