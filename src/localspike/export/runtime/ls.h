/* localspike runtime: a spiking network that infers, and learns on the device.
 *
 * C99: no heap, no math library, no input or output, of the C library memcpy and memset alone. All
 * memory is an arena of the caller's, whose size does not depend on how long a sequence is. One
 * network is ls_model.c, the same sources serve all of them.
 *
 *   u[t] = decay v[t-1] + W x[t] (+ R o[t-1]) (+ b)     o = u > threshold     v = u - reset o
 *   q[t] = pre_decay q[t-1] + x[t]                      h[t] = post_decay h[t-1] + psi(u[t-1])
 *   W   -= rate m (pre_gain psi(u) q + post_gain h x)     rate = the network's times the layer's
 *
 * A pre trace q that has faded below 2^-14 ends. m is the layer's learning signal: from its own class
 * prediction, from the label alone, or, for the readout, from its error. Nothing is sent between
 * layers.
 *
 * With weights of 16 or 8 bits membranes and traces are 16 bits too, all saturate, and a weight changes
 * by whole units: as often as its change is of one, by a seeded generator.
 *
 * Feature maps are stored row by row with channels innermost, weights as [ky][kx][in][out].
 * A linear layer is a map of one position.
 */
#ifndef LS_H
#define LS_H

#include <stddef.h>
#include <stdint.h>

#include "ls_dtype.h" /* LS_BITS of a weight: 32 (float), 16 or 8 */

#ifdef __cplusplus
extern "C" {
#endif

#define LS_VERSION 4u

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
    LS_IO = -9,            /* the caller's reader or writer failed; likewise, but if a reader fails,
                            * or has other data, only when it is asked again */
    LS_BAD_MODEL = -10     /* the model's tables were made for another runtime */
};

enum { /* flags of ls_init */
    LS_INFER = 0u,  /* weights stay where the model has them, in flash */
    LS_LEARN = 1u,  /* weights of layers that learn, and their traces, lie in the arena */
    LS_GATHER = 2u  /* with LS_LEARN: ls_learn gathers, ls_update changes the weights */
};

#if LS_BITS == 32
typedef float ls_weight;
typedef float ls_state;
#elif LS_BITS == 16
typedef int16_t ls_weight;
typedef int16_t ls_state;
#else
typedef int8_t ls_weight;
typedef int16_t ls_state;
#endif

typedef struct { /* how a synapse goes from its input to its neurons */
    uint16_t in_h, in_w, in_c, out_h, out_w, out_c;
    uint8_t kernel, stride, pad;
} ls_shape;

typedef struct ls_layer ls_layer;
typedef struct ls_slot ls_slot;
typedef struct ls_net ls_net;

typedef struct { /* events of a step: bits, or counts in bytes */
    const uint8_t *data;
    int counts;
} ls_events;

typedef union {
    float f;
    uint32_t u;
    int32_t i;
} ls_word;

enum { LS_INPUT, LS_LOOP, LS_BIAS, LS_KINDS }; /* kinds of weights */

#if LS_BITS != 32
typedef struct { /* fixed point of one kind of weights */
    int32_t gain;  /* units of a membrane that an event brings through 2^shift units of weight */
    int32_t shift; /* 0 … 24; above 0 the gain is below 128 */
    float unit;    /* what it is worth there, for readouts, whose membranes are floats */
    float steps;   /* units of weight in 1.0 */
} ls_scale;

typedef struct { /* of a layer: membranes, pre and post traces are int16 */
    ls_scale scale[LS_KINDS];
    int32_t threshold, reset;
    int32_t decay, pre_decay, post_decay; /* in parts of 32768 */
    int32_t one, loop_one;                /* what an event adds to a pre trace */
    int32_t shift;                        /* fractional bits of a post factor times a pre trace */
    float state_unit, trace_unit, post_unit; /* what a unit is worth */
    float post_steps;                     /* units of a post trace in 1.0 */
} ls_fixed;
#endif

typedef struct { /* what is learnt at one position, and where it goes */
    ls_word *row;   /* post factors of the neurons there; in fixed point drawn to integers */
    ls_weight *weight;
    float factor;
#if LS_BITS != 32
    float *gathered; /* in place of weight, if it is not null */
    int16_t one, shift; /* an event in units of a pre trace; ls_fixed's */
    uint32_t *seed;
#endif
} ls_lesson;

/* Kernels are reached through these, so that a model links only what it needs. */
typedef struct {
    /* Traces (where there are any) and currents of all inputs. */
    void (*receive)(const ls_layer *layer, const ls_slot *slot, ls_events x);
    /* weight += factor row (x) pre at one position; the events themselves where pre is null. */
    void (*change)(const ls_shape *shape, const ls_lesson *lesson, unsigned y, unsigned x,
                   const ls_state *pre, ls_events events);
} ls_synapse;
/* Whether a neuron takes its pooling window's signal. */
typedef int (*ls_takes)(const ls_layer *layer, const ls_slot *slot, unsigned y, unsigned x,
                        unsigned c);
/* A part of a step. */
typedef void (*ls_part)(ls_net *net, const ls_layer *layer, ls_slot *slot);
/* Mean spikes of this step behind every latent. */
typedef void (*ls_read_latents)(const ls_layer *layer, const ls_slot *slot, float *latent);
/* The learning signal of a layer, one number per latent; it may lie in net->scratch. */
typedef const float *(*ls_signal)(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
/* The secondary activation of the distance to threshold. */
typedef float (*ls_psi)(const ls_layer *layer, float distance);
/* What a layer learns from m. */
typedef void (*ls_learn_layer)(ls_net *net, const ls_layer *layer, const ls_slot *slot,
                               ls_events x, const float *m);

struct ls_layer { /* constant: dimensions, dynamics, weights as exported */
    ls_shape shape;
    const ls_shape *loop;       /* recurrent, or null */
    const ls_synapse *synapse;
    ls_part before, recur, pool, after; /* of a step; null where there is no such part */
    ls_takes takes;             /* null: all do */
    ls_read_latents read;
    ls_signal signal;           /* null: the layer does not learn */
    ls_learn_layer learn;
    ls_psi psi;                 /* null: a readout, which does not spike */
    uint32_t inputs, neurons, outputs;
    uint32_t weights, learnt;   /* numbers of the synapse; with recurrent ones and biases */
    uint32_t latents;           /* numbers the signal is made from */
    uint16_t classes;
    uint16_t side;              /* of the latent map; 0: the output itself, channels innermost */
    uint16_t window;            /* side of the output covered by a latent */
    uint16_t pooled;            /* side of a pooling window; 1: none */
    uint8_t counts;             /* 1: the output are counts in bytes (mean pooling), not bits */
    uint8_t biased;
    float unit;                 /* what one count of the input is worth */
    float decay, threshold, reset;
    float pre_decay, post_decay, pre_gain, post_gain;
    float bias_decay;           /* of the trace of a constant input; 0: untraced */
    float psi_height, psi_slope;
    float scale;                /* of logits; 0: 1 / max(|latents|, 1) */
    float latent_unit;          /* what one spike is worth in a latent */
    float latent_decay;
    float rate;                 /* of the network's step size */
    const ls_weight *weight;    /* then recurrent weights, then biases */
    const float *basis;         /* [class][latent]; null: the square wave */
    const uint32_t *phase;      /* [class] increments of the square wave */
#if LS_BITS != 32
    ls_fixed fixed;
#endif
};

/* Where a layer's buffers begin in the arena, in the order of ls_slot, or LS_NOWHERE. */
#define LS_NOWHERE 0xffffffffu
#define LS_PARTS 10u
typedef uint32_t ls_place[LS_PARTS];

typedef struct { /* the arena in one mode */
    uint32_t bytes, state; /* in all; what ls_reset clears, at the beginning */
    uint32_t logits, scratch;
    const ls_place *place; /* one per layer */
} ls_layout;

struct ls_slot { /* what one layer has; first LS_PARTS pointers into the arena */
    ls_state *v;          /* of a readout: floats */
    uint8_t *spikes, *out;
    ls_state *pre, *loop_pre, *post;
    float *latent;        /* low-passed latents, if they are */
    uint8_t *past;        /* spikes of the step before, of a recurrent layer with a post trace */
    ls_weight *weight;    /* in the arena, or in flash and never written to */
    float *gathered;
    float bias_pre;       /* trace of a constant input */
#if LS_BITS != 32
    uint32_t round;       /* where between two units of what decays this step rounds up */
#endif
};

typedef struct { /* a model: a constant of ls_model.c */
    uint32_t version, hash;
    uint16_t layers, classes;
    uint32_t inputs;
    uint32_t row;            /* numbers of scratch before the row of post factors */
    const ls_layout *layout; /* [3]: infer, learn, gather */
    const ls_layer *layer;
} ls_config;

struct ls_net {
    const ls_config *config;
    ls_slot *slot;        /* one per layer, the caller's */
    uint8_t *arena;       /* begins with the counts of this step */
    float *logits;        /* sums over the steps since ls_reset */
    float *scratch;       /* latents, one number per class */
    ls_word *row;         /* post factors at one position */
    uint32_t trainable, flags, steps;
    uint32_t state;       /* bytes of the arena that ls_reset clears */
    float rate;
    uint32_t seed;        /* of stochastic rounding; not 0 where there is any */
    int fresh;            /* a step has been made that nothing was learnt from */
};

/* Bytes of arena that ls_init asks for; 0 for flags that are not defined. */
size_t ls_arena_bytes(const ls_config *config, uint32_t flags);
/* Lay a network out in an arena, weights as exported, everything else at rest; slots[LS_LAYERS]. */
int ls_init(ls_net *net, const ls_config *config, ls_slot *slots, void *arena, size_t bytes,
            uint32_t flags);
/* Begin a sequence: membranes, traces and logits at rest, weights as they are. */
void ls_reset(ls_net *net);
/* One time step; counts of all inputs, or the indices of those with an event (again for two). */
int ls_step(ls_net *net, const uint8_t *counts);
int ls_step_events(ls_net *net, const uint32_t *index, size_t n);
/* Learn from the step just made; nothing where the model was written to infer only. */
int ls_learn(ls_net *net, int label);
/* After LS_GATHER: change the weights by what was gathered, keep `momentum` of it. What is kept
 * outlives ls_reset; ls_update(net, 0) and ls_load leave none. */
int ls_update(ls_net *net, float momentum);
/* The class with the largest logits so far; the logits [classes], sums in float32 that stop growing
 * after some 2^24 steps: in an endless stream reset now and then. */
int ls_predict(const ls_net *net);
const float *ls_logits(const ls_net *net);
void ls_set_rate(ls_net *net, float rate);
/* Begin stochastic rounding (weights of 16 or 8 bits) anew; 0 is taken for 1. */
void ls_set_seed(ls_net *net, uint32_t seed);
/* Bit i: layer i learns (all that can, after ls_init). */
void ls_set_trainable(ls_net *net, uint32_t layers);

/* Learnt weights, with version, model and a checksum, in the machine's byte order. A writer or reader
 * returns 0 if it did all; a reader is asked twice for each part: to check, and then to take it. */
typedef int (*ls_write)(void *context, const void *data, size_t bytes);
typedef int (*ls_read)(void *context, size_t offset, void *data, size_t bytes);
int ls_save(const ls_net *net, ls_write write, void *context);
int ls_load(ls_net *net, ls_read read, void *context);

extern const ls_synapse ls_linear, ls_conv;
void ls_trace_post(ls_net *net, const ls_layer *layer, ls_slot *slot);
void ls_recur(ls_net *net, const ls_layer *layer, ls_slot *slot);
void ls_pool(ls_net *net, const ls_layer *layer, ls_slot *slot);
void ls_filter(ls_net *net, const ls_layer *layer, ls_slot *slot);
int ls_first_takes(const ls_layer *layer, const ls_slot *slot, unsigned y, unsigned x, unsigned c);
void ls_read_vector(const ls_layer *layer, const ls_slot *slot, float *latent);
void ls_read_map(const ls_layer *layer, const ls_slot *slot, float *latent);
const float *ls_class_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
const float *ls_label_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
const float *ls_error_signal(ls_net *net, const ls_layer *layer, const ls_slot *slot, int label);
void ls_learn_vector(ls_net *net, const ls_layer *layer, const ls_slot *slot, ls_events x,
                     const float *m);
void ls_learn_causal(ls_net *net, const ls_layer *layer, const ls_slot *slot, ls_events x,
                     const float *m);
void ls_learn_all(ls_net *net, const ls_layer *layer, const ls_slot *slot, ls_events x,
                  const float *m);
float ls_triangle(const ls_layer *layer, float distance);
float ls_fast_sigmoid(const ls_layer *layer, float distance);

#ifdef __cplusplus
}
#endif

#endif
