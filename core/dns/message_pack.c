/* Writing a message, its names compressed (RFC 1035 section 4.1.4).
 *
 * Most records belong to the question's name, so that is compared first, and only once a name differs are suffixes
 * looked up at all. The table then holds where each suffix was first written. A name is looked up from its end: when
 * the place of a suffix is known, the next longer one is the same name as another exactly if their first labels are
 * equal and what follows the other's is that place, or a pointer to it. One comparison a label, however long the chains
 * are. Readers bound how many pointers they follow for one name (some at 10), so the table has that number too. */
#include "dns/message.h"

#include "dns/rdata.h"

enum {
    POINTER_SPACE = 0x4000, /* pointers reach the message's first 16 KiB */
    POINTER = 0xc000,
    LABELS_MAX = 127,
    HOPS_MAX = 8,   /* pointers that a reader follows for one name */
    PROBES_MAX = 8, /* slots that a suffix may stand in: names made to collide cost compression, not time */
    RECORD_FIXED = 10,
    ROOM_AT_START = 512,
};

/* --- the table of suffixes --- */

static inline bool is_used(const struct dns_packer *packer, size_t slot)
{
    return packer->used[slot / 64] >> (slot % 64) & 1;
}

/* The last 1 to 7 bytes of a label. */
static inline uint64_t load_tail(const uint8_t *at, size_t length)
{
    uint32_t first, last;
    if (length < 4)
        return (uint64_t)at[0] << 16 | (uint64_t)at[length / 2] << 8 | at[length - 1];
    memcpy(&first, at, sizeof first);
    memcpy(&last, at + length - 4, sizeof last);
    return (uint64_t)first << 32 | last;
}

/* The hash of a suffix: that of its first label, length byte and all, and of the shorter suffix behind. */
static inline uint64_t hash_label(uint64_t hash, const uint8_t *label)
{
    size_t left = *label + 1u;
    for (; left >= 8; left -= 8, label += 8) {
        uint64_t word;
        memcpy(&word, label, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    if (left > 0) {
        hash = (hash ^ load_tail(label, left)) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Whether the name written at `place` is this label and then the suffix whose place is `behind` (0: the root). */
static inline bool is_written_at(const uint8_t *message, size_t place, const uint8_t *label, size_t behind)
{
    const uint8_t *written = message + place;
    if (*written != *label || memcmp(written + 1, label + 1, *label) != 0)
        return false;
    place += *label + 1u;
    if (behind == 0)
        return message[place] == 0;
    return place == behind || load_u16(message + place) == (POINTER | behind);
}

/* The place where the suffix with this hash is written, which `slot` holds; 0: nowhere, and `slot` is free for it, or
 * -1 when none is. */
static inline size_t find(const struct dns_packer *packer, uint64_t hash, const uint8_t *message, const uint8_t *label,
                          size_t behind, int *slot)
{
    for (unsigned i = 0; i < PROBES_MAX; i++) {
        const size_t at = (hash + i) % DNS_PACKER_SLOTS;
        *slot = (int)at;
        if (!is_used(packer, at))
            return 0;
        if (label && is_written_at(message, packer->slot[at], label, behind))
            return packer->slot[at];
    }
    *slot = -1;
    return 0;
}

static inline void keep(struct dns_packer *packer, int slot, size_t place, unsigned hops)
{
    if (slot < 0 || place >= POINTER_SPACE)
        return;
    packer->slot[slot] = (uint16_t)place;
    packer->hops[slot] = (uint8_t)hops;
    packer->used[(unsigned)slot / 64] |= UINT64_C(1) << (unsigned)slot % 64;
}

/* What is known of a name's end: where it begins in the name, and the place where it is written (0: it is the root). */
struct suffix {
    size_t at, place;
};

/* Looks a name up that is about to be written at `place`, and keeps those of its suffixes that are new. Gives the
 * longest suffix that can be pointed to. Where its chain is as long as may be, that is the longest one without
 * pointers, and the suffixes written anew take the places of the old ones. */
static struct suffix look_up(struct dns_packer *packer, const uint8_t *name, size_t place)
{
    const uint8_t *message = packer->out->data + packer->start;
    uint8_t labels[LABELS_MAX];
    int slots[LABELS_MAX];
    size_t count = 0, at = 0, first_known;
    uint64_t hash = 0;
    unsigned hops = 0;
    bool known = true;
    for (; name[at] != 0; at += name[at] + 1u)
        labels[count++] = (uint8_t)at;
    struct suffix longest = {.at = at}, whole = longest;
    first_known = count;
    for (size_t i = count; i-- > 0;) {
        const uint8_t *label = name + labels[i];
        hash = hash_label(hash, label);
        const size_t found = find(packer, hash, message, known ? label : NULL, longest.place, &slots[i]);
        if (found) {
            longest = (struct suffix){labels[i], found};
            first_known = i;
            continue;
        }
        if (known && longest.place)
            hops = packer->hops[slots[first_known]] + 1u;
        known = false;
        keep(packer, slots[i], place + labels[i], hops);
    }
    if (!longest.place || packer->hops[slots[first_known]] < HOPS_MAX)
        return longest;
    for (size_t i = count; i-- > first_known && packer->hops[slots[i]] == 0;)
        whole = (struct suffix){labels[i], packer->slot[slots[i]]};
    for (size_t i = 0; i < count && labels[i] < whole.at; i++)
        keep(packer, slots[i], place + labels[i], whole.place ? 1 : 0);
    return whole;
}

/* Starts the table, with the question's name in it when there is one. */
static void start_table(struct dns_packer *packer)
{
    memset(packer->used, 0, sizeof packer->used);
    packer->table_started = true;
    if (packer->question_length > 0)
        look_up(packer, packer->out->data + packer->start + DNS_HEADER_SIZE, DNS_HEADER_SIZE);
}

/* Takes a record back that began at `mark`, and whatever the table has of it. */
static void roll_back(struct dns_packer *packer, size_t mark)
{
    const size_t place = mark - packer->start;
    packer->out->length = mark;
    if (place == DNS_HEADER_SIZE)
        packer->question_length = 0;
    if (!packer->table_started)
        return;
    for (size_t slot = 0; slot < DNS_PACKER_SLOTS; slot++)
        if (is_used(packer, slot) && packer->slot[slot] >= place)
            packer->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

/* --- writing; room has been made --- */

static void put_name(struct dns_packer *packer, const uint8_t *name, size_t length)
{
    struct buffer *out = packer->out;
    const uint8_t *message = out->data + packer->start;
    if (length == packer->question_length && length > 1 && memcmp(message + DNS_HEADER_SIZE, name, length) == 0) {
        store_u16(out->data + out->length, POINTER | DNS_HEADER_SIZE);
        out->length += 2;
        return;
    }
    if (length == 1) {
        out->data[out->length++] = 0;
        return;
    }
    if (!packer->table_started)
        start_table(packer);
    const struct suffix rest = look_up(packer, name, out->length - packer->start);
    memcpy(out->data + out->length, name, rest.at);
    out->length += rest.at;
    if (rest.place) {
        store_u16(out->data + out->length, (uint16_t)(POINTER | rest.place));
        out->length += 2;
    } else {
        out->data[out->length++] = 0;
    }
}

static enum status put_piece(void *context, bool is_name, const uint8_t *at, size_t length)
{
    struct dns_packer *packer = context;
    if (is_name) {
        put_name(packer, at, length);
    } else {
        memcpy(packer->out->data + packer->out->length, at, length);
        packer->out->length += length;
    }
    return STATUS_OK;
}

/* Makes room for `length` bytes, the most that an entry of this section can take. */
static enum status make_room(struct dns_packer *packer, enum dns_section section, size_t length)
{
    if (section < packer->section)
        return STATUS_INVALID;
    if (!buffer_reserve(packer->out, length))
        return STATUS_NO_MEMORY;
    return packer->out->length == packer->start ? STATUS_NO_SPACE : STATUS_OK;
}

/* Counts what was written since `mark`, or takes it back when that is too much. */
static enum status settle(struct dns_packer *packer, enum dns_section section, size_t mark)
{
    if (packer->out->length - packer->start > packer->limit) {
        roll_back(packer, mark);
        return STATUS_NO_SPACE;
    }
    while (packer->section < section)
        packer->starts[++packer->section] = (uint32_t)(mark - packer->start);
    packer->header.counts[section]++;
    return STATUS_OK;
}

void dns_packer_start(struct dns_packer *packer, struct buffer *out, const struct dns_header *header, size_t limit)
{
    packer->out = out;
    packer->start = out->length;
    packer->limit = limit < DNS_MESSAGE_MAX ? limit : DNS_MESSAGE_MAX;
    packer->header = (struct dns_header){.id = header->id, .flags = header->flags};
    packer->section = DNS_SECTION_QUESTION;
    packer->starts[DNS_SECTION_QUESTION] = DNS_HEADER_SIZE;
    packer->has_opt = false;
    packer->question_length = 0;
    packer->table_started = false;
    if (limit >= DNS_HEADER_SIZE && buffer_reserve(out, ROOM_AT_START))
        out->length += DNS_HEADER_SIZE;
}

enum status dns_packer_question(struct dns_packer *packer, const struct dns_question *question)
{
    struct buffer *out = packer->out;
    const size_t mark = out->length;
    const enum status status = make_room(packer, DNS_SECTION_QUESTION, question->name_length + 4u);
    if (status != STATUS_OK)
        return status;
    if (packer->header.counts[DNS_SECTION_QUESTION] == 0) {
        memcpy(out->data + mark, question->name, question->name_length);
        out->length += question->name_length;
        packer->question_length = question->name_length;
    } else {
        put_name(packer, question->name, question->name_length);
    }
    store_u16(out->data + out->length, question->type);
    store_u16(out->data + out->length + 2, question->class_);
    out->length += 4;
    return settle(packer, DNS_SECTION_QUESTION, mark);
}

enum status dns_packer_record(struct dns_packer *packer, enum dns_section section, const struct dns_record *record)
{
    struct buffer *out = packer->out;
    const size_t mark = out->length, data_length = record->data_length;
    if (section == DNS_SECTION_QUESTION)
        return STATUS_INVALID;
    packer->has_opt |= record->type == DNS_TYPE_OPT;
    enum status status = make_room(packer, section, record->name_length + RECORD_FIXED + data_length);
    if (status != STATUS_OK)
        return status;
    put_name(packer, record->name, record->name_length);
    uint8_t *fixed = out->data + out->length;
    store_u16(fixed, record->type);
    store_u16(fixed + 2, record->class_);
    store_u32(fixed + 4, record->ttl);
    store_u16(fixed + 8, record->data_length);
    out->length += RECORD_FIXED;
    if (dns_rdata_name_rule(record->type) != DNS_NAMES_NONE) {
        const size_t data = out->length;
        status = dns_rdata_pieces(dns_rdata_type(record->type, record->class_), record->data, data_length, put_piece,
                                  packer);
        if (status != STATUS_OK) {
            roll_back(packer, mark);
            return status;
        }
        store_u16(fixed + 8, (uint16_t)(out->length - data));
    } else if (data_length > 0) {
        memcpy(out->data + out->length, record->data, data_length);
        out->length += data_length;
    }
    return settle(packer, section, mark);
}

enum status dns_packer_finish(struct dns_packer *packer)
{
    if (packer->out->failed)
        return STATUS_NO_MEMORY;
    if (packer->out->length == packer->start)
        return STATUS_NO_SPACE;
    dns_header_write(packer->out->data + packer->start, &packer->header);
    return STATUS_OK;
}

bool dns_packer_view(const struct dns_packer *packer, struct dns_message *out)
{
    const uint8_t *wire = packer->out->data + packer->start;
    const uint16_t questions = packer->header.counts[DNS_SECTION_QUESTION];
    if (packer->has_opt || questions > 1)
        return false;
    *out = (struct dns_message){.wire = wire, .length = packer->out->length - packer->start, .header = packer->header};
    for (size_t section = 0; section <= DNS_SECTION_ADDITIONAL + 1; section++)
        out->section[section] = section <= packer->section ? packer->starts[section] : (uint32_t)out->length;
    if (questions) {
        const uint8_t *fixed = wire + DNS_HEADER_SIZE + packer->question_length;
        out->question = (struct dns_question){.name = wire + DNS_HEADER_SIZE,
                                              .name_length = packer->question_length,
                                              .type = load_u16(fixed),
                                              .class_ = load_u16(fixed + 2)};
    }
    return true;
}
