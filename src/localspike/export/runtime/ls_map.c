/* Feature maps: convolutions, pooling, latents by place. See ls.h. */
#include "ls_inside.h"

/* Add what one input sends to all neurons that see it. */
static void spread(const ls_layer *l, const ls_slot *slot, const ls_weight *weight, int y, int x,
                   ls_value value)
{
    const ls_shape *s = &l->shape;
    for (int ky = 0; ky < s->kernel; ky++)
        for (int kx = 0; kx < s->kernel; kx++, weight += (size_t)s->in_c * s->out_c) {
            int oy = (y - ky) / s->stride, ox = (x - kx) / s->stride;
            if (y >= ky && x >= kx && oy * s->stride == y - ky && ox * s->stride == x - kx
                && oy < s->out_h && ox < s->out_w)
                send(l, slot, LS_INPUT, (size_t)(oy * s->out_w + ox) * s->out_c, weight, value,
                     s->out_c);
        }
}

static void conv_receive(const ls_layer *l, const ls_slot *s, ls_events x)
{
    const ls_shape *in = &l->shape;
    uint32_t i = 0;
    for (int y = 0; y < in->in_h; y++)
        for (int at = 0; at < in->in_w; at++)
            for (unsigned c = 0; c < in->in_c; c++, i++) {
                ls_value value = arrives(l, count(x, i));
                if (s->pre)
                    s->pre[i] = traced(l, s, LS_INPUT, s->pre[i], value);
                if (value != 0)
                    spread(l, s, s->weight + (size_t)c * in->out_c, y + in->pad, at + in->pad,
                           value);
            }
}

static void conv_change(const ls_shape *s, const ls_lesson *t, unsigned y, unsigned x,
                        const ls_state *pre, ls_events events)
{
    size_t at = 0;
    for (int ky = 0; ky < s->kernel; ky++)
        for (int kx = 0; kx < s->kernel; kx++) {
            int iy = (int)y * s->stride + ky - s->pad, ix = (int)x * s->stride + kx - s->pad;
            uint32_t from = ((uint32_t)iy * s->in_w + (uint32_t)ix) * s->in_c;
            if (iy < 0 || ix < 0 || iy >= s->in_h || ix >= s->in_w) {
                at += (size_t)s->in_c * s->out_c;
                continue;
            }
            for (unsigned c = 0; c < s->in_c; c++, from++, at += s->out_c) {
                ls_factor k = pre ? pre[from] : events_factor(t, count(events, from));
                if (k != 0)
                    teach(t, at, k, s->out_c);
            }
        }
}

const ls_synapse ls_conv = {conv_receive, conv_change};

/* Spikes to outputs: whether there is one in a window, or how many. */
void ls_pool(ls_net *net, const ls_layer *l, ls_slot *s)
{
    uint32_t side = l->pooled, w = l->shape.out_w / side, h = l->shape.out_h / side;
    (void)net;
    clear(s->out, l->counts ? l->outputs : (l->outputs + 7u) / 8u);
    for (uint32_t y = 0; y < h * side; y++)
        for (uint32_t x = 0; x < w * side; x++) {
            uint32_t from = (y * l->shape.out_w + x) * l->shape.out_c;
            uint32_t to = (y / side * w + x / side) * l->shape.out_c;
            for (uint32_t c = 0; c < l->shape.out_c; c++) {
                if (!bit(s->spikes, from + c))
                    continue;
                if (l->counts)
                    s->out[to + c]++;
                else
                    set_bit(s->out, to + c);
            }
        }
}

/* The first spike of a window takes its signal; with none, the first neuron. */
int ls_first_takes(const ls_layer *l, const ls_slot *s, unsigned y, unsigned x, unsigned c)
{
    uint32_t side = l->pooled, top = y - y % side, left = x - x % side;
    for (uint32_t k = 0; k < side * side; k++) {
        uint32_t ky = top + k / side, kx = left + k % side;
        if (bit(s->spikes, (ky * l->shape.out_w + kx) * l->shape.out_c + c))
            return ky == y && kx == x;
    }
    return y == top && x == left;
}

void ls_read_map(const ls_layer *l, const ls_slot *s, float *latent)
{
    ls_events out = {s->out, l->counts};
    uint32_t i = 0;
    clear(latent, l->latents * sizeof(float));
    for (uint32_t y = 0; y < l->shape.out_h / l->pooled; y++)
        for (uint32_t x = 0; x < l->shape.out_w / l->pooled; x++) {
            float *to = latent + latent_of(l, y, x);
            for (uint32_t c = 0; c < l->shape.out_c; c++, to += latent_stride(l))
                *to += (float)count(out, i++);
        }
    for (i = 0; i < l->latents; i++)
        latent[i] *= l->latent_unit;
}
