/* Any bytes as resolv.conf: at least one server and at most so many, all with a port. */
#include "messages.h"

#include "net/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct resolv_conf conf = resolv_conf_parse((const char *)data, size);
    MUST(conf.count >= 1 && conf.count <= RESOLV_CONF_SERVERS_MAX);
    for (size_t i = 0; i < conf.count; i++)
        MUST(conf.servers[i].port == 53 && conf.servers[i].family != AF_UNSPEC);
    return 0;
}
