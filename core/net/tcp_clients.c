#include "net/tcp_clients.h"

#include <stdlib.h>

enum {
    SLOT_BITS = 20,
    SLOTS_MAX = 1 << SLOT_BITS,
    SLOTS_AT_FIRST = 64,
    LOOK_AT_MOST = 64, /* connections, for one that fits */
};

static void make_key(const struct address *address, uint8_t key[static 17])
{
    memset(key, 0, 17);
    key[0] = (uint8_t)address->family;
    memcpy(key + 1, address->bytes, address->family == AF_INET6 ? 16 : 4);
}

static struct tcp_client *find_client(const struct tcp_clients *clients, const struct address *address)
{
    uint8_t key[17];
    struct tcp_client *client;
    make_key(address, key);
    HASH_FIND(hh, clients->by_address, key, sizeof key, client);
    return client;
}

const struct tcp_client *tcp_clients_client(const struct tcp_clients *clients, const struct address *address)
{
    return find_client(clients, address);
}

static struct tcp_client *find_or_add_client(struct tcp_clients *clients, const struct address *address)
{
    struct tcp_client *client = find_client(clients, address);
    if (client)
        return client;
    client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    make_key(address, client->key);
    HASH_ADD(hh, clients->by_address, key, sizeof client->key, client);
    if (client->hh.tbl)
        return client;
    free(client);
    return NULL;
}

static void drop_client_if_empty(struct tcp_clients *clients, struct tcp_client *client)
{
    if (client->count)
        return;
    HASH_DEL(clients->by_address, client);
    free(client);
}

static bool grow(struct tcp_clients *clients)
{
    uint32_t count = clients->slot_count ? clients->slot_count * 2 : SLOTS_AT_FIRST;
    if (count > SLOTS_MAX)
        return false;
    struct tcp_connection **slots = realloc(clients->slots, count * sizeof(struct tcp_connection *));
    if (!slots)
        return false;
    clients->slots = slots;
    uint32_t *free_slots = realloc(clients->free_slots, count * sizeof *free_slots);
    if (!free_slots)
        return false;
    clients->free_slots = free_slots;
    for (uint32_t i = count; i-- > clients->slot_count;) {
        slots[i] = NULL;
        free_slots[clients->free_count++] = i;
    }
    clients->slot_count = count;
    return true;
}

/* --- the two lists by age --- */

static void link_newest(struct tcp_clients *clients, struct tcp_connection *connection)
{
    struct tcp_client *client = connection->client;
    connection->newer = connection->client_newer = NULL;
    connection->older = clients->newest;
    connection->client_older = client->newest;
    *(clients->newest ? &clients->newest->newer : &clients->oldest) = connection;
    *(client->newest ? &client->newest->client_newer : &client->oldest) = connection;
    clients->newest = client->newest = connection;
}

static void unlink_connection(struct tcp_clients *clients, struct tcp_connection *connection)
{
    struct tcp_client *client = connection->client;
    *(connection->older ? &connection->older->newer : &clients->oldest) = connection->newer;
    *(connection->newer ? &connection->newer->older : &clients->newest) = connection->older;
    *(connection->client_older ? &connection->client_older->client_newer : &client->oldest) = connection->client_newer;
    *(connection->client_newer ? &connection->client_newer->client_older : &client->newest) = connection->client_older;
}

void tcp_clients_touch(struct tcp_clients *clients, struct tcp_connection *connection, int64_t now_us)
{
    connection->active_us = now_us;
    if (!connection->newer)
        return;
    unlink_connection(clients, connection);
    link_newest(clients, connection);
}

struct tcp_connection *tcp_clients_oldest(const struct tcp_clients *clients, const struct tcp_client *client,
                                          bool (*fits)(const struct tcp_connection *connection))
{
    struct tcp_connection *connection = client ? client->oldest : clients->oldest;
    for (unsigned i = 0; connection && i < LOOK_AT_MOST; i++) {
        if (fits(connection))
            return connection;
        connection = client ? connection->client_newer : connection->newer;
    }
    return NULL;
}

/* --- the table --- */

struct tcp_connection *tcp_clients_add(struct tcp_clients *clients, const struct address *address)
{
    if (clients->free_count == 0 && !grow(clients))
        return NULL;
    struct tcp_client *client = find_or_add_client(clients, address);
    struct tcp_connection *connection = client ? calloc(1, sizeof *connection) : NULL;
    if (!connection) {
        if (client)
            drop_client_if_empty(clients, client);
        return NULL;
    }
    uint32_t slot = clients->free_slots[--clients->free_count];
    clients->slots[slot] = connection;
    connection->serial = ++clients->serials << SLOT_BITS | slot;
    connection->client = client;
    client->count++;
    clients->count++;
    link_newest(clients, connection);
    return connection;
}

void tcp_clients_remove(struct tcp_clients *clients, struct tcp_connection *connection)
{
    uint32_t slot = (uint32_t)(connection->serial & (SLOTS_MAX - 1));
    clients->slots[slot] = NULL;
    clients->free_slots[clients->free_count++] = slot;
    unlink_connection(clients, connection);
    clients->count--;
    connection->client->count--;
    drop_client_if_empty(clients, connection->client);
    free(connection);
}

struct tcp_connection *tcp_clients_find(const struct tcp_clients *clients, uint64_t serial)
{
    uint64_t slot = serial & (SLOTS_MAX - 1);
    struct tcp_connection *connection = slot < clients->slot_count ? clients->slots[slot] : NULL;
    return connection && connection->serial == serial ? connection : NULL;
}

void tcp_clients_free(struct tcp_clients *clients)
{
    free(clients->slots);
    free(clients->free_slots);
    *clients = (struct tcp_clients){0};
}
