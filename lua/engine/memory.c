#include "lua/engine/memory.h"

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
    memory->kept_bytes = 0;
}

static void *take_back(struct memory *memory, void *at, size_t size)
{
    struct memory_block *block = at;
    memory->used -= size;
    if (!is_kept_size(size))
        return memory->allocate(memory->allocator, at, size, 0);
    if (memory->kept_bytes + size > KEPT_BYTES_MAX)
        free_kept(memory);
    block->next = memory->kept[size];
    memory->kept[size] = block;
    memory->kept_bytes += size;
    return NULL;
}

/* The block that comes next was last touched a collection ago: the processor has time to fetch it until it is wanted.
 */
static void prefetch(const struct memory_block *block, size_t size)
{
    enum { CACHE_LINE = 64 };
    for (size_t at = 0; at < size; at += CACHE_LINE)
        __builtin_prefetch((const char *)block + at, 1);
}

static void *give_again(struct memory *memory, size_t size)
{
    struct memory_block *block = memory->kept[size];
    memory->kept[size] = block->next;
    memory->kept_bytes -= size;
    memory->used += size;
    if (block->next)
        prefetch(block->next, size);
    return block;
}

/* --- the allocator --- */

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    if (new_size == 0)
        return block ? take_back(memory, block, old_size) : NULL;
    if (memory->enforced && new_size > old_size && memory->used + (new_size - old_size) > memory->limit) {
        memory->exhausted = true;
        return NULL;
    }
    if (!block && is_kept_size(new_size) && memory->kept[new_size])
        return give_again(memory, new_size);
    void *made = memory->allocate(memory->allocator, block, old_size, new_size);
    if (made)
        memory->used += new_size - old_size;
    return made;
}

void memory_install(struct memory *memory, lua_State *L, size_t limit)
{
    memory->allocate = lua_getallocf(L, &memory->allocator);
    memory->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    memory->limit = limit;
    lua_setallocf(L, allocate, memory);
}

void memory_pace(struct memory *memory, lua_State *L)
{
    /* Percent of what was alive after the last collection at which the next one starts. A small heap is cheap to mark,
     * and may grow more before that; not so far that what a query allocates has left the processor's cache when it is
     * swept. */
    enum { SMALL = 1024 * 1024, PAUSE_SMALL = 400, PAUSE = 200, PAUSE_PRESSED = 110 };
    int pause = memory->used > memory->limit / 2 ? PAUSE_PRESSED : memory->used > SMALL ? PAUSE : PAUSE_SMALL;
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

void memory_free(struct memory *memory)
{
    if (memory->allocate)
        free_kept(memory);
}
