#include "lua/engine/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- blocks that were given back, by size --- */

enum { KEPT_BYTES_MAX = 8 * 1024 * 1024 /* what a collection of a small heap may free */ };

struct memory_block {
    struct memory_block *next;
};

static bool is_kept_size(size_t size)
{
    return size <= MEMORY_KEPT_SIZE_MAX && size >= sizeof(struct memory_block);
}

static void free_kept(struct memory *memory)
{
    for (size_t size = 0; size <= MEMORY_KEPT_SIZE_MAX; size++) {
        while (memory->kept[size]) {
            struct memory_block *block = memory->kept[size];
            memory->kept[size] = block->next;
            memory->allocate(memory->allocator, block, size, 0);
        }
    }
    memory->held -= memory->kept_bytes;
    memory->kept_bytes = 0;
}

/* The block that comes next was last touched a collection ago: the processor has time to fetch it until it is wanted.
 */
static inline void prefetch(const struct memory_block *block, size_t size)
{
    enum { CACHE_LINE = 64 };
    size_t at = 0;
    do
        __builtin_prefetch((const char *)block + at, 1);
    while ((at += CACHE_LINE) < size);
}

/* --- the allocator --- */

static void *take_back(struct memory *memory, void *at, size_t size)
{
    if (!at)
        return NULL;
    memory->held -= size;
    return memory->allocate(memory->allocator, at, size, 0);
}

/* What kept blocks cannot serve. */
static __attribute__((noinline)) void *take(struct memory *memory, void *block, size_t old_size, size_t new_size)
{
    if (new_size == 0)
        return take_back(memory, block, old_size);
    size_t more = new_size > old_size ? new_size - old_size : 0;
    if (memory->enforced && more && memory->held + more > memory->limit) {
        free_kept(memory);
        if (memory->held + more > memory->limit) {
            memory->exhausted = true;
            return NULL;
        }
    }
    void *made = memory->allocate(memory->allocator, block, old_size, new_size);
    if (made)
        memory->held += new_size - old_size;
    if (memory->held > memory->most)
        memory->most = memory->held;
    return made;
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    if (new_size == 0 && is_kept_size(old_size) && memory->kept_bytes + old_size <= KEPT_BYTES_MAX) {
        struct memory_block *kept = block;
        kept->next = memory->kept[old_size];
        memory->kept[old_size] = kept;
        memory->kept_bytes += old_size;
        return NULL;
    }
    if (!block && new_size <= MEMORY_KEPT_SIZE_MAX && memory->kept[new_size]) {
        struct memory_block *again = memory->kept[new_size];
        memory->kept[new_size] = again->next;
        memory->kept_bytes -= new_size;
        if (again->next)
            prefetch(again->next, new_size);
        return again;
    }
    return take(memory, block, old_size, new_size);
}

void memory_install(struct memory *memory, lua_State *L, size_t limit)
{
    memory->allocate = lua_getallocf(L, &memory->allocator);
    memory->held = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    memory->limit = limit;
    lua_setallocf(L, allocate, memory);
}

void memory_pace(struct memory *memory, lua_State *L)
{
    /* Percent of what was alive after the last collection at which the next one starts. A small heap is cheap to mark,
     * and may grow more before that; not so far that what a query allocates has left the processor's cache when it is
     * swept. */
    enum { SMALL = 1024 * 1024, PAUSE_SMALL = 250, PAUSE = 200, PAUSE_PRESSED = 110 };
    size_t used = memory_used(memory);
    int pause = used > memory->limit / 2 ? PAUSE_PRESSED : used > SMALL ? PAUSE : PAUSE_SMALL;
    if (pause == memory->pause)
        return;
    memory->pause = pause;
    lua_gc(L, LUA_GCSETPAUSE, pause);
}

void memory_relieve(struct memory *memory, lua_State *L)
{
    memory->exhausted = false;
    lua_gc(L, LUA_GCCOLLECT, 0);
    free_kept(memory);
}

/* --- giving back --- */

/* LuaJIT's allocator gives hardly anything back to the system: what it maps next lies below what it has, in one segment
 * that only shrinks from above. But what it has free can be borrowed, and its pages be dropped. */
enum { BORROWED_SIZE = 16 * 1024 };

/* Drops the whole pages between these addresses. */
static void drop_pages(uintptr_t from, uintptr_t to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

void memory_give_back(struct memory *memory)
{
    struct memory_block *borrowed = NULL;
    free_kept(memory);
    for (size_t given = memory->held; given + BORROWED_SIZE <= memory->most; given += BORROWED_SIZE) {
        struct memory_block *block = memory->allocate(memory->allocator, NULL, 0, BORROWED_SIZE);
        if (!block)
            break;
        drop_pages((uintptr_t)(block + 1), (uintptr_t)block + BORROWED_SIZE);
        block->next = borrowed;
        borrowed = block;
    }
    while (borrowed) {
        struct memory_block *block = borrowed;
        borrowed = block->next;
        memory->allocate(memory->allocator, block, BORROWED_SIZE, 0);
    }
    memory->most = memory->held;
}

void memory_free(struct memory *memory)
{
    if (memory->allocate)
        free_kept(memory);
}
