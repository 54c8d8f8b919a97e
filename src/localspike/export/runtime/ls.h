/* localspike runtime: a spiking network that infers, and learns on the device.
 *
 * C99, freestanding: no heap, no math library, no input or output. All memory is an arena of the
 * caller's, whose size does not depend on how long a sequence is. One network is ls_model.c, the
 * same sources serve all of them.
 *
 *   u[t] = decay v[t-1] + W x[t] (+ R o[t-1]) (+ b)     o = u > threshold     v = u - reset o
 *   q[t] = pre_decay q[t-1] + x[t]                      h[t] = post_decay h[t-1] + psi(u[t-1])
 *   W   -= rate m (pre_gain psi(u) q + post_gain h x)
 *
 * m is the layer's learning signal: from its own class prediction, from the label alone, or, for the
 * readout, from its error. Nothing is sent between layers.
 *
 * Feature maps are stored row by row with channels innermost, weights as [ky][kx][in][out].
 * A linear layer is a 1x1 convolution of a 1x1 map.
 */
#ifndef LS_H
#define LS_H

#include <stddef.h>
#include <stdint.h>

#define LS_VERSION 1u

enum { /* what functions return: 0 or more is good */
    LS_OK = 0,
    LS_BAD_ARGUMENT = -1,  /* a null pointer, or flags that are not defined */
    LS_BAD_ARENA = -2,     /* too small (ls_arena_bytes) or not aligned to 4 bytes */
    LS_BAD_EVENT = -3,     /* an event's index is not an input's; nothing was done */
    LS_BAD_LABEL = -4,     /* no such class; nothing was done */
    LS_NOT_LEARNING = -5,  /* initialised without LS_LEARN, or no step since the last ls_learn */
    LS_BAD_BLOB = -6,      /* not saved weights, or damaged; the network is as it was */
    LS_OTHER_VERSION = -7, /* saved by another version of the runtime; likewise */
    LS_OTHER_MODEL = -8,   /* saved from another model; likewise */
    LS_IO = -9,            /* the caller's reader or writer failed; likewise, but if a reader fails
                            * only when it is asked again */
    LS_BAD_MODEL = -10     /* the model's tables were made for another runtime */
};

enum { /* flags of ls_init */
    LS_INFER = 0u,  /* weights stay where the model has them, in flash */
    LS_LEARN = 1u,  /* weights of layers that learn, and their traces, lie in the arena */
    LS_GATHER = 2u  /* with LS_LEARN: ls_learn gathers, ls_update changes the weights */
};

typedef float ls_weight;
typedef float ls_state;

typedef struct { /* how a synapse goes from its input to its neurons */
    uint16_t in_h, in_w, in_c, out_h, out_w, out_c;
    uint8_t kernel, stride, pad;
} ls_shape;

typedef struct ls_layer ls_layer;
typedef struct ls_slot ls_slot;
typedef struct ls_net ls_net;

/* The learning signal of a layer, one number per latent; it may lie in net->scratch. */
typedef const float *(*ls_signal)(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
/* The secondary activation of the distance to threshold. */
typedef float (*ls_psi)(const ls_layer *layer, float distance);
/* Spikes to the layer's output, and where the signal of a window goes. */
typedef struct {
    void (*forward)(const ls_layer *layer, const ls_slot *slot);
    int (*takes)(const ls_layer *layer, const ls_slot *slot, unsigned y, unsigned x, unsigned c);
} ls_pool;

struct ls_layer { /* constant: dimensions, dynamics, weights as exported */
    ls_shape shape;
    const ls_shape *loop; /* recurrent, or null */
    const ls_pool *pool;  /* null: the output is the spikes */
    ls_signal signal;     /* null: the layer does not learn */
    ls_psi psi;           /* null: a readout, which does not spike */
    uint16_t classes;
    uint16_t latents;     /* numbers the signal is made from */
    uint16_t side;        /* of the latent map; 0: the output itself, channels innermost */
    uint16_t window;      /* side of the output covered by a latent */
    uint16_t pooled;      /* side of a pooling window */
    uint16_t counts;      /* 1: the output are counts in bytes (mean pooling), not bits */
    float unit;           /* what one count of the input is worth */
    float decay, threshold, reset;
    float pre_decay, post_decay, pre_gain, post_gain;
    float bias_decay;     /* of the trace of a constant input; 0: untraced */
    float psi_height, psi_slope;
    float scale;          /* of logits; 0: 1 / max(|latents|, 1) */
    float latent_unit;    /* what one spike is worth in a latent */
    float latent_decay;
    const ls_weight *weight, *recurrent, *bias; /* bias may be null */
    const float *basis;   /* [class][latent]; null: the square wave */
    const uint32_t *phase; /* [class] increments of the square wave */
};

struct ls_slot { /* what one layer has in the arena */
    ls_state *v;
    uint8_t *spikes, *out;
    ls_weight *weight, *recurrent, *bias;
    ls_state *pre, *loop_pre, *post;
    float bias_pre;       /* trace of a constant input */
    float *latent;        /* low-passed latents, if they are */
    float *gathered;      /* like weight, recurrent and bias, which follow each other */
    uint8_t *past;        /* spikes of the step before, of a recurrent layer with a post trace */
};

typedef struct { /* a model: a constant of ls_model.c */
    uint32_t version, hash;
    uint16_t layers, classes;
    uint32_t inputs, scratch;
    const ls_layer *layer;
    ls_slot *slot;        /* one per layer, in the caller's memory beside the arena */
} ls_config;

struct ls_net {
    const ls_config *config;
    uint8_t *input;       /* counts of this step */
    float *logits;        /* sums over the steps since ls_reset */
    float *scratch;       /* latents, one row of post factors, one number per class */
    uint32_t trainable, flags, steps;
    float rate;
    int fresh;            /* a step has been made that nothing was learnt from */
};

/* Bytes of arena that ls_init asks for; 0 for flags that are not defined. */
size_t ls_arena_bytes(const ls_config *config, uint32_t flags);
/* Lay a network out in an arena, weights as exported, everything else at rest. */
int ls_init(ls_net *net, const ls_config *config, void *arena, size_t bytes, uint32_t flags);
/* Begin a sequence: membranes, traces and logits at rest, weights as they are. */
void ls_reset(ls_net *net);
/* One time step; counts of all inputs, or the indices of those with an event (again for two). */
int ls_step(ls_net *net, const uint8_t *counts);
int ls_step_events(ls_net *net, const uint32_t *index, size_t n);
/* Learn from the step just made. */
int ls_learn(ls_net *net, int label);
/* After LS_GATHER: change the weights by what was gathered, keep `momentum` of it. */
int ls_update(ls_net *net, float momentum);
/* The class with the largest logits so far; the logits [classes]. */
int ls_predict(const ls_net *net);
const float *ls_logits(const ls_net *net);
void ls_set_rate(ls_net *net, float rate);
/* Bit i: layer i learns (all that can, after ls_init). */
void ls_set_trainable(ls_net *net, uint32_t layers);

/* Learnt weights, with version, model and a checksum, in the machine's byte order. A writer or reader
 * returns 0 if it did all; a reader is asked twice for each part: to check, and then to take it. */
typedef int (*ls_write)(void *context, const void *data, size_t bytes);
typedef int (*ls_read)(void *context, size_t offset, void *data, size_t bytes);
int ls_save(const ls_net *net, ls_write write, void *context);
int ls_load(ls_net *net, ls_read read, void *context);

extern const ls_pool ls_max_pool, ls_mean_pool;
const float *ls_class_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
const float *ls_label_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
const float *ls_error_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
float ls_triangle(const ls_layer *layer, float distance);
float ls_fast_sigmoid(const ls_layer *layer, float distance);

#endif
