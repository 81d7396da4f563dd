#include "lua/engine/memory.h"

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    if (memory->enforced && new_size > old_size && memory->used + (new_size - old_size) > memory->limit) {
        memory->exhausted = true;
        return NULL;
    }
    void *made = memory->allocate(memory->allocator, block, old_size, new_size);
    if (made || new_size == 0)
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
    /* Percent of what was alive after the last collection at which the next one starts. */
    enum { SMALL = 6 * 1024 * 1024, PAUSE_SMALL = 800, PAUSE = 200, PAUSE_PRESSED = 110 };
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
}
