/* What `moondns` is called for: subcommands, and to serve where none is named. */
#ifndef MOONDNS_LUA_COMMANDS_COMMANDS_H
#define MOONDNS_LUA_COMMANDS_COMMANDS_H

/* Each gives the exit code. argv[0] is the program, or the subcommand's name. */
int command_serve(int argc, char **argv);
int command_test(int argc, char **argv);
int command_explain(int argc, char **argv);

#endif
