/* Messages (RFC 1035 section 4, RFC 6891): a checked view over wire bytes, a reader that walks the records, a packer
 * that writes a message with compressed names, and edits on the wire. No allocation but in the buffers that are handed
 * in. */
#ifndef MOONDNS_DNS_MESSAGE_H
#define MOONDNS_DNS_MESSAGE_H

#include "dns/record.h"
#include "dns/registry.h"

enum {
    DNS_HEADER_SIZE = 12,
    DNS_MESSAGE_MAX = 65535,
    DNS_UDP_SIZE_CLASSIC = 512, /* what a client without EDNS takes (RFC 1035 section 4.2.1) */
};

enum dns_section { DNS_SECTION_QUESTION, DNS_SECTION_ANSWER, DNS_SECTION_AUTHORITY, DNS_SECTION_ADDITIONAL };

/* Bits of the header's second word. */
enum dns_flag {
    DNS_FLAG_QR = 0x8000,
    DNS_FLAG_OPCODE = 0x7800, /* shifted by 11 */
    DNS_FLAG_AA = 0x0400,
    DNS_FLAG_TC = 0x0200,
    DNS_FLAG_RD = 0x0100,
    DNS_FLAG_RA = 0x0080,
    DNS_FLAG_Z = 0x0070, /* mitmproxy's `reserved`, shifted by 4: Z, AD, CD */
    DNS_FLAG_AD = 0x0020,
    DNS_FLAG_CD = 0x0010,
    DNS_FLAG_RCODE = 0x000f,
};

struct dns_header {
    uint16_t id, flags;
    uint16_t counts[4]; /* by enum dns_section */
};

/* Reads the header where there are 12 bytes. */
static inline void dns_header_take(const uint8_t *wire, struct dns_header *out)
{
    out->id = load_u16(wire);
    out->flags = load_u16(wire + 2);
    for (size_t i = 0; i < 4; i++)
        out->counts[i] = load_u16(wire + 4 + 2 * i);
}

/* Reads the header alone; STATUS_MALFORMED when there are fewer than 12 bytes. */
static inline MUST_CHECK enum status dns_header_read(const uint8_t *wire, size_t length, struct dns_header *out)
{
    if (length < DNS_HEADER_SIZE)
        return STATUS_MALFORMED;
    dns_header_take(wire, out);
    return STATUS_OK;
}

void dns_header_write(uint8_t *wire, const struct dns_header *header);

/* A checked view; borrows the wire, and is dead once the wire changes in length. */
struct dns_message {
    const uint8_t *wire;
    size_t length;
    struct dns_header header;
    uint32_t section[5]; /* offsets where the sections start, and where the last one ends */

    /* The first question, when there is one (header.counts[0] > 0, else its name is NULL): its name is never compressed
     * and starts at byte 12. */
    struct dns_question question;

    struct {
        unsigned count;     /* OPT records in the additional section … */
        unsigned elsewhere; /* … and in others, where they are records like any other */
        uint32_t offset;    /* of the first one (its owner, whatever that is), 0: none */
        uint16_t udp_payload_size;
        uint8_t extended_response_code; /* the upper eight bits */
        uint8_t version;
        bool dnssec_ok;
        struct span options; /* borrowed */
    } opt;
};

/* Checks the whole message: header, every name with its pointers, every record's bounds, the names inside the data of
 * types that may hold compressed ones (RFC 3597 section 4), no byte left over. Data that otherwise does not fit its
 * type is no error. The reason names the place: "answer #1: name at offset 57 points forward" (question, answer,
 * authority, additional; counted from 1). */
MUST_CHECK enum status dns_message_parse(const uint8_t *wire, size_t length, struct dns_message *out,
                                         struct reason *reason);

/* The message's full response code, with OPT's upper bits (RFC 6891 section 6.1.3). */
uint16_t dns_message_response_code(const struct dns_message *message);

/* --- reading records --- */
struct dns_reader {
    const struct dns_message *message;
    struct cursor cursor;
    unsigned left;           /* records of this section still to come */
    struct dns_name name;    /* the current owner */
    struct buffer *expanded; /* borrowed; holds the current data where names in it had to be expanded */
};

/* Walks one section (not the question section) of a parsed message. `expanded` is borrowed for the walk. */
void dns_reader_start(struct dns_reader *reader, const struct dns_message *message, enum dns_section section,
                      struct buffer *expanded);

/* The next record; STATUS_NOT_FOUND after the last. What `out` points to lives until the next call. */
MUST_CHECK enum status dns_reader_next(struct dns_reader *reader, struct dns_record *out);

/* Reads the question section: all questions in turn (there may be any number in a message made by hand). */
MUST_CHECK enum status dns_reader_next_question(struct dns_reader *reader, struct dns_question *out);
void dns_reader_start_questions(struct dns_reader *reader, const struct dns_message *message);

/* --- packing --- */
enum { DNS_PACKER_SLOTS = 1024 };

struct dns_packer {
    struct buffer *out; /* borrowed; the message starts at `start` */
    size_t start, limit;
    struct dns_header header;
    enum dns_section section; /* sections must come in order */
    uint32_t starts[4];       /* of the sections up to that one, from `start` */
    bool has_opt;             /* an OPT record was added */
    /* private: the suffixes written so far, by hash, once a name other than the question's comes; see message_pack.c */
    uint8_t question_length; /* of the first question's name, 0: none written */
    bool table_started;
    uint64_t used[DNS_PACKER_SLOTS / 64];
    uint16_t slot[DNS_PACKER_SLOTS];
    uint8_t hops[DNS_PACKER_SLOTS]; /* pointers that follow where the slot's suffix is written */
};

/* Starts a message behind what `out` holds, of at most `limit` bytes (and never more than 65535). The counts in
 * `header` are ignored; they are counted. */
void dns_packer_start(struct dns_packer *packer, struct buffer *out, const struct dns_header *header, size_t limit);

/* Adds; names must be whole. STATUS_NO_SPACE leaves the message as it was before (a record boundary); STATUS_INVALID:
 * the section is over. Owner names are compressed, names in the data only of types that RFC 3597 section 4 allows
 * (those of RFC 1035); only suffixes equal to the letter share bytes, and the work on one name is bounded, as
 * are the pointers that a reader follows for it (8). Data that
 * does not fit its type goes out as it is, but for names in it that a reader could not expand, or would expand to
 * something else: STATUS_MALFORMED. */
MUST_CHECK enum status dns_packer_question(struct dns_packer *packer, const struct dns_question *question);
MUST_CHECK enum status dns_packer_record(struct dns_packer *packer, enum dns_section section,
                                         const struct dns_record *record);

/* Writes the header with the counts. The packer is done. */
MUST_CHECK enum status dns_packer_finish(struct dns_packer *packer);

/* After that: what dns_message_parse would say of the message. False when it holds OPT or more than one question: then
 * only parsing tells. */
bool dns_packer_view(const struct dns_packer *packer, struct dns_message *out);

/* Whether the first OPT's data is whole options, one behind the other (RFC 6891 section 6.1.2); so it is without OPT.
 */
bool dns_message_has_whole_options(const struct dns_message *message);

/* --- edits on the wire of a checked message --- */

/* Makes the response to `query` with this code: id, op code, RD and CD are the query's (RFC 1035 section 4.1.1, RFC
 * 4035 section 3.2.2), and so are the questions; no records but an OPT of ours if the query has one (RFC 6891 section
 * 7), its DO bit the query's. STATUS_INVALID for a code above 15 without OPT. Replaces what `out` holds. */
MUST_CHECK enum status dns_message_make_error(const struct dns_message *query, uint16_t response_code,
                                              struct buffer *out);

/* The same where only the header and perhaps the question of a malformed query can be read: FORMERR. STATUS_MALFORMED
 * when there is no header to answer to, or a response's. */
MUST_CHECK enum status dns_message_make_formerr(const uint8_t *wire, size_t length, struct buffer *out);

/* Cuts the message in `wire` to at most `limit` bytes on a record boundary and sets TC (RFC 2181 section 9). OPT is
 * kept (without its options if need be); where not even the questions fit, the header alone is left. Does nothing when
 * it fits; STATUS_NO_SPACE for a limit below 12. */
MUST_CHECK enum status dns_message_truncate(struct buffer *wire, size_t limit);

/* Takes every OPT record out of the message in `wire`. Like the next but one, it packs the message anew when records
 * stand behind OPT, as their pointers may lead over it. */
MUST_CHECK enum status dns_message_remove_opt(struct buffer *wire);

/* Puts an OPT record at the end: udp_payload_size, the upper bits of the response code, DO. Does nothing when there is
 * one; STATUS_NO_SPACE when the message would grow beyond 65535 bytes. */
MUST_CHECK enum status dns_message_add_opt(struct buffer *wire, uint16_t udp_payload_size, uint16_t response_code,
                                           bool dnssec_ok);

/* Takes the options with these codes out of OPT (those of one connection: tcp-keepalive 11, padding 12). */
MUST_CHECK enum status dns_message_remove_options(struct buffer *wire, const uint16_t *codes, size_t count);

/* Puts an option behind those of OPT, which must be there (STATUS_NOT_FOUND). Packs the message anew when records stand
 * behind OPT. STATUS_NO_SPACE when it would grow beyond 65535 bytes. */
MUST_CHECK enum status dns_message_add_option(struct buffer *wire, uint16_t code, const void *data, uint16_t length);

/* The same for an extended error (RFC 8914 section 2): its info code, and its text for people (UTF-8, may be ""), which
 * is cut at DNS_EDE_TEXT_MAX bytes. */
enum { DNS_EDE_TEXT_MAX = 255 };
MUST_CHECK enum status dns_message_add_ede(struct buffer *wire, uint16_t info_code, const char *text);

/* Whether the message ends with a transaction signature: TSIG (RFC 8945 section 5.1) or SIG(0) (RFC 2931 section 3.1).
 * No byte of it may change but the id. */
bool dns_message_is_signed(const struct dns_message *message);

/* Whether both hold the same records, questions and header bits (ids count, names of owners without regard to case). */
MUST_CHECK enum status dns_message_equal(const struct dns_message *a, const struct dns_message *b, bool *out);

#endif
