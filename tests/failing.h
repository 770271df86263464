/* For a test build: put before _core.c with -include, this makes the engine's own allocations fail on
   demand. Set failing_allocation to n, and the n-th one from then on finds no memory; 0 fails none. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

long failing_allocation;

static int fails(void) { return failing_allocation > 0 && --failing_allocation == 0; }

/* (A macro's own name is not expanded once more.) */
#define PyMem_Malloc(size) (fails() ? NULL : PyMem_Malloc(size))
#define PyMem_Calloc(count, size) (fails() ? NULL : PyMem_Calloc(count, size))
#define PyMem_Realloc(memory, size) (fails() ? NULL : PyMem_Realloc(memory, size))
#define posix_memalign(memory, alignment, size) \
    (fails() ? 12 /* ENOMEM */ : posix_memalign(memory, alignment, size))
