/* For a test build: put before _core.c with -include, this counts the memory that the engine itself
   has allocated and not freed, and makes an allocation fail on demand. (LeakSanitizer would not do:
   the engine keeps lists of its chunks and calls, by which a forgotten one could still be
   reached.) */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

long living_allocations;
long failing_allocation;        /* n: the n-th from now on finds no memory; 0: none fails */

static int fails(void) { return failing_allocation > 0 && --failing_allocation == 0; }

static void *counted(void *memory) {
    living_allocations += memory != NULL;
    return memory;
}

static void *discounted(void *memory) {
    living_allocations -= memory != NULL;
    return memory;
}

static void *resized(void *memory, size_t size) {
    void *larger = fails() ? NULL : PyMem_Realloc(memory, size);
    living_allocations += larger != NULL && memory == NULL;
    return larger;
}

static int aligned(void **memory, size_t alignment, size_t size) {
    int error = fails() ? 12 /* ENOMEM */ : posix_memalign(memory, alignment, size);
    living_allocations += error == 0;
    return error;
}

/* (A macro's own name is not expanded once more.) */
#define PyMem_Malloc(size) counted(fails() ? NULL : PyMem_Malloc(size))
#define PyMem_Calloc(count, size) counted(fails() ? NULL : PyMem_Calloc(count, size))
#define PyMem_Realloc resized
#define PyMem_Free(memory) PyMem_Free(discounted(memory))
#define posix_memalign aligned
#define free(memory) free(discounted(memory))
