#include "dns/record.h"

bool dns_question_equal(const struct dns_question *a, const struct dns_question *b)
{
    return a->type == b->type && a->class_ == b->class_ && a->name_length == b->name_length &&
           dns_name_equal(a->name, b->name);
}

bool dns_record_equal(const struct dns_record *a, const struct dns_record *b)
{
    return a->type == b->type && a->class_ == b->class_ && a->name_length == b->name_length &&
           a->data_length == b->data_length &&
           dns_ttl_effective(a->type, a->ttl) == dns_ttl_effective(b->type, b->ttl) &&
           (a->data_length == 0 || memcmp(a->data, b->data, a->data_length) == 0) && dns_name_equal(a->name, b->name);
}
