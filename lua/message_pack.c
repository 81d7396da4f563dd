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

static enum status add_section(lua_State *L, int index, struct lua_message *self, unsigned section,
                               struct dns_packer *packer, struct buffer *expanded, struct reason *reason)
{
    struct lua_message_walk walk;
    enum status status = lua_message_walk_start(&walk, L, index, self, section, expanded, reason);
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

/* Whether the section holds the one question that is on the wire. */
static bool has_only_question(const struct lua_message *self)
{
    return lua_message_section_untouched(self, DNS_SECTION_QUESTION) &&
           !(self->question && self->question->origin.changed) &&
           lua_message_count_on_wire(self, DNS_SECTION_QUESTION) == 1;
}

static enum status pack_sections(lua_State *L, int index, struct lua_message *self, struct dns_packer *packer,
                                 struct reason *reason)
{
    struct buffer expanded = {0};
    enum status status = STATUS_OK;
    unsigned section = DNS_SECTION_QUESTION;
    if (has_only_question(self)) {
        struct dns_question question = lua_message_only_question(self);
        status = dns_packer_question(packer, &question);
        if (status)
            reason_set(reason, "out of memory");
        section++;
    }
    for (; status == STATUS_OK && section < LUA_MESSAGE_SECTIONS; section++) {
        if (!lua_message_section_untouched(self, section) || lua_message_count_on_wire(self, section))
            status = add_section(L, index, self, section, packer, &expanded, reason);
    }
    buffer_free(&expanded);
    return status;
}

static enum status pack_anew(lua_State *L, int index, struct lua_message *self, struct buffer *out,
                             struct dns_message *view, struct reason *reason)
{
    const struct dns_header header = {.id = self->id, .flags = self->flags};
    struct dns_packer packer;
    dns_packer_start(&packer, out, &header, DNS_MESSAGE_MAX);
    enum status status = pack_sections(L, index, self, &packer, reason);
    if (status)
        return status;
    status = dns_packer_finish(&packer);
    if (status)
        reason_set(reason, "out of memory");
    else if (view && !dns_packer_view(&packer, view))
        status = dns_message_parse(out->data, out->length, view, reason);
    return status;
}

/* Whether the wire is not what the sections are. What was made by hand is not looked at closely: packed anew, it is the
 * same again. */
static bool wire_differs(lua_State *L, int index, const struct lua_message *self)
{
    return (self->made && lua_message_has_tables(self)) || !lua_message_sections_unchanged(L, index, self);
}

/* The view over bytes that are the message's wire. Where that is but the header and a question, it needs no parsing. */
static enum status view_wire(struct lua_message *self, const struct buffer *wire, struct dns_message *view,
                             struct reason *reason)
{
    static const uint8_t question_alone[] = {0, 1, 0, 0, 0, 0, 0, 0};
    if (memcmp(self->wire + 4, question_alone, sizeof question_alone) != 0)
        return dns_message_parse(wire->data, wire->length, view, reason);
    *view =
        (struct dns_message){.wire = wire->data, .length = wire->length, .question = lua_message_only_question(self)};
    view->question.name = wire->data + DNS_HEADER_SIZE;
    for (size_t section = 0; section <= LUA_MESSAGE_SECTIONS; section++)
        view->section[section] = section == DNS_SECTION_QUESTION ? DNS_HEADER_SIZE : (uint32_t)wire->length;
    return dns_header_read(wire->data, wire->length, &view->header);
}

enum status lua_message_pack_view(lua_State *L, int index, struct buffer *out, struct dns_message *view,
                                  struct reason *reason)
{
    struct lua_message *self = lua_class_known(L, index);
    if (index < 0)
        index = lua_gettop(L) + 1 + index;
    if (!lua_checkstack(L, 8)) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    buffer_clear(out);
    if (wire_differs(L, index, self))
        return pack_anew(L, index, self, out, view, reason);
    buffer_append(out, self->wire, self->length);
    if (out->failed) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    patch_header(self, out->data);
    return view ? view_wire(self, out, view, reason) : STATUS_OK;
}

enum status lua_message_pack(lua_State *L, int index, struct buffer *out, struct reason *reason)
{
    return lua_message_pack_view(L, index, out, NULL, reason);
}

void lua_message_push_packed(lua_State *L, int index, const char *what)
{
    struct reason reason;
    struct buffer *out = lua_scratch(L);
    if (lua_memory_check(L, lua_message_pack(L, index, out, &reason)))
        lua_raise_reason(L, what, &reason);
    lua_pushlstring(L, (const char *)out->data, out->length);
}
