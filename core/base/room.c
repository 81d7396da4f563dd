#include "base/room.h"

#include <stdlib.h>

bool room_is_there(void)
{
    void *volatile block = malloc(ROOM_BYTES);
    bool is_there = block != NULL;
    free(block);
    return is_there;
}
