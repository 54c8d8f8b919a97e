"""The README of an export."""

from __future__ import annotations

from .plan import Plan
from .write import budget_table

TEXT = """\
# {name}: a spiking network in C99

Written by localspike. {does} No heap, no math library, no input or output, no memory that grows
with time.

    make test                            # build for this machine and run the self-check
    make cortex-m4                       # on an emulated Cortex-M4F; also cortex-m3, rv32

```c
#include "ls_model.h"

static uint32_t arena[LS_ARENA_{mode} / 4];
static ls_slot slots[LS_LAYERS];
static ls_net net;

ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_{mode});
ls_set_rate(&net, 0.01f);
for (each sample) {{
    ls_reset(&net);
    for (each step) {{
        ls_step_events(&net, index, n);  /* or ls_step(&net, counts) */
        ls_learn(&net, label);           /* leave out to infer only */
    }}
    int answer = ls_predict(&net);
}}
```

* **Inputs**: {inputs}, numbers of events in a step, 0 to 255. {notes}
* **Weights changed once a sequence**: `ls_init` with `LS_LEARN | LS_GATHER` and an arena of
  `LS_ARENA_GATHER`; `ls_learn` then gathers, `ls_update(&net, momentum)` changes the weights.
* **A sample learnt from at every step has seen its own label** in its logits: judge with learning
  off.
* **Freezing**: `ls_set_trainable(&net, mask)`, a bit per layer. **Saving**: `ls_save`, `ls_load`; a
  damaged or foreign blob is refused.
* **Errors** are negative; ls.h says what each is.
* Build with `-ffp-contract=off` and without `-ffast-math`: the same spikes and weights, to the
  bit, on every little-endian machine. The emulators count instructions, never time or energy.

## Bytes of the arena

```
{table}
```

Weights, bases and phases in flash: {flash:,} bytes. `manifest.json` has every buffer and table.
"""


def readme(plan: Plan) -> str:
    """Text of README.md."""
    learns = [layer.name for layer in plan.layers if layer.signal != "none"]
    does = "It infers, and learns nothing."
    if learns:
        does = (
            f"It infers and, with `LS_LEARN`, goes on learning ({', '.join(learns)}), each layer "
            "from what it has itself and the label."
        )
    return TEXT.format(
        name=plan.name,
        does=does,
        mode="LEARN" if learns else "INFER",
        inputs=plan.inputs,
        notes=" ".join(plan.notes),
        table=budget_table(plan),
        flash=plan.flash,
    )
