/* Learnt weights out of a network and back into it. See ls.h. */
#include "ls_inside.h"

#define MAGIC 0x574b534cu /* "LSKW" */
#define PIECE 64u

typedef struct {
    uint32_t magic, version, hash, bytes;
} header;

static uint32_t sum_of(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes--) {
        crc ^= *at++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0u);
    }
    return crc;
}

/* Bytes that layer i has learnt, and where they are. */
static uint32_t part(const ls_net *net, unsigned i, ls_weight **weight)
{
    const ls_slot *s = net->slot + i;
    *weight = s->weight;
    return s->pre ? net->config->layer[i].learnt * (uint32_t)sizeof(ls_weight) : 0u;
}

static header head_of(const ls_net *net)
{
    header head = {MAGIC, LS_VERSION, net->config->hash, 0};
    ls_weight *weight;
    for (unsigned i = 0; i < net->config->layers; i++)
        head.bytes += part(net, i, &weight);
    return head;
}

int ls_save(const ls_net *net, ls_write write, void *context)
{
    header head;
    uint32_t crc;
    if (!net || !write)
        return LS_BAD_ARGUMENT;
    if (!(net->flags & LS_LEARN))
        return LS_NOT_LEARNING;
    head = head_of(net);
    crc = sum_of(0xffffffffu, &head, sizeof head);
    if (write(context, &head, sizeof head))
        return LS_IO;
    for (unsigned i = 0; i < net->config->layers; i++) {
        ls_weight *weight;
        uint32_t bytes = part(net, i, &weight);
        crc = sum_of(crc, weight, bytes);
        if (bytes && write(context, weight, bytes))
            return LS_IO;
    }
    crc = ~crc;
    return write(context, &crc, sizeof crc) ? LS_IO : LS_OK;
}

/* Whether what a reader has can be taken, and what it must say again for that. */
static int check(const ls_net *net, ls_read read, void *context, uint32_t *sum)
{
    header head, own = head_of(net);
    uint8_t piece[PIECE];
    uint32_t crc, stored;
    if (read(context, 0, &head, sizeof head))
        return LS_IO;
    if (head.magic != MAGIC)
        return LS_BAD_BLOB;
    if (head.version != own.version)
        return LS_OTHER_VERSION;
    if (head.hash != own.hash || head.bytes != own.bytes)
        return LS_OTHER_MODEL;
    crc = sum_of(0xffffffffu, &head, sizeof head);
    for (uint32_t at = 0; at < head.bytes; at += PIECE) {
        uint32_t n = head.bytes - at < PIECE ? head.bytes - at : PIECE;
        if (read(context, sizeof head + at, piece, n))
            return LS_IO;
        crc = sum_of(crc, piece, n);
    }
    if (read(context, sizeof head + head.bytes, &stored, sizeof stored))
        return LS_IO;
    *sum = crc;
    return stored == ~crc ? LS_OK : LS_BAD_BLOB;
}

int ls_load(ls_net *net, ls_read read, void *context)
{
    size_t at = sizeof(header);
    header head;
    uint32_t sum = 0, crc;
    int found;
    if (!net || !read)
        return LS_BAD_ARGUMENT;
    if (!(net->flags & LS_LEARN))
        return LS_NOT_LEARNING;
    found = check(net, read, context, &sum);
    head = head_of(net); /* what was found to be its own */
    crc = sum_of(0xffffffffu, &head, sizeof head);
    for (unsigned i = 0; found == LS_OK && i < net->config->layers; i++) {
        ls_weight *weight;
        uint32_t bytes = part(net, i, &weight);
        if (bytes && read(context, at, weight, bytes))
            found = LS_IO;
        crc = sum_of(crc, weight, bytes);
        at += bytes;
    }
    if (at > sizeof(header)) /* weights were taken: what others have learnt is not theirs */
        ls_forget(net);
    return found == LS_OK && crc != sum ? LS_IO : found;
}
