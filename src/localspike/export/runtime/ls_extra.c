/* Recurrent weights and post traces. See ls.h. */
#include "ls_inside.h"

void ls_recur(ls_net *net, const ls_layer *l, ls_slot *s)
{
    const ls_weight *weight = s->weight + l->weights;
    (void)net;
    for (uint32_t i = 0; i < l->neurons; i++, weight += l->neurons) {
        ls_value value = (ls_value)bit(s->spikes, i);
        if (s->loop_pre)
            s->loop_pre[i] = traced(l, s, LS_LOOP, s->loop_pre[i], value);
        if (value != 0)
            send(l, s, LS_LOOP, 0, weight, value, l->neurons);
    }
}

void ls_trace_post(ls_net *net, const ls_layer *l, ls_slot *s)
{
    if (net->steps)
        for (uint32_t i = 0; i < l->neurons; i++)
            s->post[i] = post_traced(l, s, s->post[i], l->psi(l, distance(l, s, i)));
    if (s->past)
        for (uint32_t i = 0; i < (l->neurons + 7u) / 8u; i++)
            s->past[i] = s->spikes[i];
}

/* Recurrent weights too, and m h (x) x. */
void ls_learn_all(ls_net *net, const ls_layer *l, const ls_slot *s, ls_events x, const float *m)
{
    ls_word *row = net->row;
    ls_events past = {s->past, 0};
    unsigned h = l->shape.out_h - l->shape.out_h % l->pooled;
    unsigned w = l->shape.out_w - l->shape.out_w % l->pooled;
    ls_learn_causal(net, l, s, x, m);
    for (unsigned at_y = 0; at_y < h; at_y++)
        for (unsigned at_x = 0; at_x < w; at_x++) {
            ls_lesson t;
            if (l->loop && ls_post_row(l, s, m, at_y, at_x, NULL, row)) {
                t = lesson_of(net, l, s, LS_LOOP);
                by_gain(&t, l, LS_LOOP, l->pre_gain);
                ls_linear.change(l->loop, &t, at_y, at_x, s->loop_pre, past);
            }
            if (!s->post || !ls_post_row(l, s, m, at_y, at_x, s->post, row))
                continue;
            t = lesson_of(net, l, s, LS_INPUT);
            by_gain(&t, l, LS_INPUT, l->post_gain * events_unit(l));
            l->synapse->change(&l->shape, &t, at_y, at_x, NULL, x);
            if (l->loop && (LS_BITS == 32 || ls_post_row(l, s, m, at_y, at_x, s->post, row))) {
                t = lesson_of(net, l, s, LS_LOOP);
                by_gain(&t, l, LS_LOOP, l->post_gain);
                ls_linear.change(l->loop, &t, at_y, at_x, NULL, past);
            }
        }
}
