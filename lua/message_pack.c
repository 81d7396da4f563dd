/* dns.DNSMessage: packing. */
#include "lua/message_object.h"

/* The header as it is now. */
static void patch_header(const struct lua_message *self, uint8_t *wire)
{
    store_u16(wire, self->id);
    store_u16(wire + 2, self->flags);
}

static enum status add_record(const struct lua_message_walk *walk, struct dns_packer *packer,
                              const struct dns_record *record, struct reason *reason)
{
    enum status status = dns_packer_record(packer, walk->section, record);
    char type[DNS_MNEMONIC_MAX];
    if (status == STATUS_MALFORMED)
        reason_set(reason, "%s[%d]: record data of %s: domain name expected", lua_message_section_name(walk->section),
                   walk->next, dns_registry_to_text(DNS_TYPES, record->type, type));
    return status;
}

static enum status add_next(struct lua_message_walk *walk, struct dns_packer *packer, struct reason *reason)
{
    struct dns_question question;
    struct dns_record record;
    if (walk->section == DNS_SECTION_QUESTION) {
        enum status status = lua_message_walk_question(walk, &question, reason);
        return status ? status : dns_packer_question(packer, &question);
    }
    enum status status = lua_message_walk_record(walk, &record, reason);
    return status ? status : add_record(walk, packer, &record, reason);
}

static enum status add_section(lua_State *L, int index, unsigned section, struct dns_packer *packer,
                               struct buffer *expanded, struct reason *reason)
{
    struct lua_message_walk walk;
    enum status status = lua_message_walk_start(&walk, L, index, section, expanded, reason);
    if (status)
        return status;
    unsigned added = 0;
    while ((status = add_next(&walk, packer, reason)) == STATUS_OK)
        added++;
    lua_message_walk_end(&walk);
    if (status == STATUS_NO_SPACE)
        reason_set(reason, "%s[%u]: the message is longer than %d bytes", lua_message_section_name(section), added + 1,
                   DNS_MESSAGE_MAX);
    else if (status == STATUS_NO_MEMORY)
        reason_set(reason, "out of memory");
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status pack_anew(lua_State *L, int index, const struct lua_message *self, struct buffer *out,
                             struct reason *reason)
{
    const struct dns_header header = {.id = self->id, .flags = self->flags};
    struct dns_packer packer;
    struct buffer expanded = {0};
    enum status status = STATUS_OK;
    dns_packer_start(&packer, out, &header, DNS_MESSAGE_MAX);
    for (unsigned section = 0; status == STATUS_OK && section < LUA_MESSAGE_SECTIONS; section++) {
        if (!lua_message_section_untouched(self, section) || lua_message_count_on_wire(self, section))
            status = add_section(L, index, section, &packer, &expanded, reason);
    }
    buffer_free(&expanded);
    if (status)
        return status;
    status = dns_packer_finish(&packer);
    if (status)
        reason_set(reason, "out of memory");
    return status;
}

enum status lua_message_pack(lua_State *L, int index, struct buffer *out, struct reason *reason)
{
    const struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    bool changed = false;
    if (index < 0)
        index = lua_gettop(L) + 1 + index;
    if (!lua_checkstack(L, 6)) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    for (unsigned section = 0; !changed && section < LUA_MESSAGE_SECTIONS; section++)
        changed = !lua_message_section_unchanged(L, index, self, section);
    buffer_clear(out);
    if (changed)
        return pack_anew(L, index, self, out, reason);
    buffer_append(out, self->wire, self->length);
    if (out->failed) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    patch_header(self, out->data);
    return STATUS_OK;
}

void lua_message_push_packed(lua_State *L, int index, const char *what)
{
    struct reason reason;
    struct buffer *out = lua_scratch(L);
    if (lua_memory_check(L, lua_message_pack(L, index, out, &reason)))
        lua_raise_reason(L, what, &reason);
    lua_pushlstring(L, (const char *)out->data, out->length);
}
