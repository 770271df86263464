# The pool. The chunks form a ring. Chunks with free cells come first: if the head is full, all are.

cdef extern from *:
    """
#if defined(Py_GIL_DISABLED)
#error "micrograd-native has not been made for free-threaded Python; please use the standard build"
#endif
    /* The size of a chunk in bytes, and its alignment, so that a Value's address gives its chunk.
       With 128 every Value has a chunk of its own, so that a sanitizer checks each Value. */
    #ifndef MICROGRAD_CHUNK
    #define MICROGRAD_CHUNK (1 << 21)
    #define MICROGRAD_SPARE 8
    #else
    #define MICROGRAD_SPARE 0
    #endif
    #if defined(_WIN32)
    #include <malloc.h>
    #define aligned_new(size) _aligned_malloc(size, size)
    #define aligned_delete _aligned_free
    #else
    #include <stdlib.h>
    static void *aligned_new(size_t size) {
        void *memory;
        return posix_memalign(&memory, size, size) ? NULL : memory;
    }
    #define aligned_delete free
    #endif
    /* A large graph is made and released in half the time where pages are large. */
    #if defined(__linux__)
    #include <sys/mman.h>
    #define prefer_large_pages(memory, size) madvise(memory, size, MADV_HUGEPAGE)
    #else
    #define prefer_large_pages(memory, size)
    #endif
    """
    void* aligned_new(size_t) noexcept
    void aligned_delete(void*) noexcept
    void prefer_large_pages(void*, size_t) noexcept
    enum: CHUNK "MICROGRAD_CHUNK"
    enum: SPARE "MICROGRAD_SPARE"       # empty chunks kept

cdef struct Cell:               # a place for one Value; type is NULL while it is free
    GCHead gc_head
    Body body

cdef struct Chunk:
    Chunk* next
    Chunk* previous
    Cell* free                  # cells given back, linked through data.object
    int fresh                   # how many cells, the first ones, were never used
    int live
    Cell cells[1]

cdef int CELLS = (CHUNK - sizeof(Chunk)) // sizeof(Cell) + 1     # of a chunk

cdef Chunk* head = NULL
cdef int spare = 0              # chunks with no live Value

cdef void link(Chunk* c) noexcept:
    """Put c at the head of the ring."""
    global head
    if head == NULL:
        c.next = c.previous = c
    else:
        c.next, c.previous = head, head.previous
        c.next.previous = c.previous.next = c
    head = c

cdef void unlink(Chunk* c) noexcept:
    global head
    if head == c:
        head = NULL if c.next == c else c.next
    c.next.previous, c.previous.next = c.previous, c.next

cdef bint has_room(Chunk* c) noexcept:
    return c.free != NULL or c.fresh > 0

cdef bint make_room() noexcept:
    """Make sure that the head has a free cell; False if there is no memory."""
    global head, spare
    if head != NULL and not has_room(head):
        head = head.next        # the full chunk is the last of the ring now
    if head != NULL and has_room(head):
        return True
    cdef Chunk* c = <Chunk*>aligned_new(CHUNK)
    if c == NULL:
        return False
    if head != NULL:            # a small program needs only the first chunk, and little of that
        prefer_large_pages(c, CHUNK)
    c.free, c.fresh, c.live = NULL, CELLS, 0
    spare += 1
    link(c)
    return True

cdef inline Cell* take_cell() noexcept:
    global spare
    if (head == NULL or not has_room(head)) and not make_room():
        return NULL
    cdef Cell* cell = head.free
    if cell != NULL:
        head.free = <Cell*>cell.body.node.data.object
    else:
        head.fresh -= 1
        cell = &head.cells[head.fresh]
    cell.gc_head.next = cell.gc_head.previous = 0   # not tracked, not finalized
    spare -= head.live == 0
    head.live += 1
    return cell

cdef inline Cell* cell_of(PyObject* value) noexcept:
    return <Cell*>(<char*>value - sizeof(GCHead))

cdef inline void give_cell(Cell* cell) noexcept:
    cdef Chunk* c = <Chunk*>(<size_t>cell & ~<size_t>(CHUNK - 1))
    if not has_room(c):         # it gets some now: move it before the full ones
        unlink(c)
        link(c)
    cell.body.head.ob_type = NULL
    cell.body.node.data.object = <PyObject*>c.free
    c.free = cell
    c.live -= 1
    if c.live == 0:
        retire(c)

cdef void retire(Chunk* c) noexcept:
    """Keep an empty chunk for the next graph, or give it back to the system."""
    global spare
    if spare == SPARE:
        unlink(c)
        aligned_delete(c)
    else:
        spare += 1
        c.free, c.fresh = NULL, CELLS       # as if new: its cells are given in order of address

def _count_values():
    """The Values alive in the pool. Instances of subclasses come from Python's own allocator."""
    cdef Py_ssize_t count = 0
    cdef Chunk* c = head
    while c != NULL:
        count += c.live
        c = NULL if c.next == head else c.next
    return count
