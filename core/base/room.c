#include "base/room.h"

#include <pthread.h>
#include <stdlib.h>

bool room_is_there(size_t bytes)
{
    void *volatile block = malloc(bytes);
    bool is_there = block != NULL;
    free(block);
    return is_there;
}

void *room_keep(size_t bytes)
{
    return malloc(bytes);
}

void room_give(void *kept)
{
    free(kept);
}

static void *do_nothing(void *context)
{
    return context;
}

bool room_has_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}
