/* moondns: the first word says what it is called for. */
#include "lua/commands/commands.h"

int main(int argc, char **argv)
{
    return command_serve(argc, argv);
}
