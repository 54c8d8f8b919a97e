"""What a device cannot run or learn, and why: refused by name before anything is written."""

from __future__ import annotations

from ..describe import BlockDescription, Description
from ..errors import IllegalError

STORED = ("random", "trained", "adapted")
WAVES = ("integer_square", "balanced_square")
BASES = (*WAVES, *STORED)
SURROGATES = ("Triangle", "FastSigmoid")
MOST_LAYERS, MOST_SIDE = 32, 15


def check(about: Description, learns: set[str]) -> None:
    """Refuse what the runtime has no code for.

    Raises
    ------
    IllegalError
        With the block and the part of it.
    """
    if len(about.blocks) > MOST_LAYERS:
        _refuse("a network", f"{len(about.blocks)} layers", f"at most {MOST_LAYERS}")
    _check_wires(about)
    for block in about.blocks:
        _check_block(block)
    if learns:
        _check_rule(about)


def _refuse(what: str, got: object, expected: str, fix: str | None = None) -> None:
    raise IllegalError(f"{what} cannot be exported to C", got=got, expected=expected, fix=fix)


def _check_wires(about: Description) -> None:
    before = "input"
    for block in about.blocks:
        if block.sources != (before,):
            _refuse(f"block {block.name!r}", f"sources {block.sources}", "the block before it")
        before = block.name
    if about.blocks[-1].kind != "readout":
        _refuse("a network without a readout", about.blocks[-1].name, "a readout as its last block")


def _check_block(block: BlockDescription) -> None:
    name, neuron, synapse = f"block {block.name!r}", block.neuron, block.synapse
    if synapse.standardised or synapse.normalised:
        _refuse(name, "weights that are not folded", "plain weights", "Use nn.fold first")
    if synapse.kind not in ("Linear", "Conv2d"):
        _refuse(name, f"synapse {synapse.kind}", "Linear or Conv2d")
    if synapse.geometry is not None and synapse.geometry.groups != 1:
        _refuse(name, f"a convolution in {synapse.geometry.groups} groups", "one group")
    if block.kind == "readout":
        return
    if neuron.kind != "LIF" or neuron.fires_at_threshold or neuron.reset == "hard":
        got = neuron.kind if neuron.kind != "LIF" else f"reset {neuron.reset}, fires at threshold"
        _refuse(name, got, "a LIF with soft reset that fires above its threshold")
    pools = [op for op in block.tail if op not in ("Flatten",)]
    if len(pools) > 1 or any(op not in ("MaxPool", "AvgPool", "GlobalAvgPool") for op in pools):
        _refuse(
            name, f"tail {list(block.tail)}", "at most one pooling, no dropout", "Use nn.fold first"
        )


def _check_rule(about: Description) -> None:
    signal, eligibility = about.rule["signal"], about.rule["eligibility"]
    name = f"rule {about.rule['name']!r}"
    kind = signal["kind"]
    if kind not in ("ClassBasis", "Silent", "drtp") or signal.get("label_period", 1) != 1:
        _refuse(
            name,
            f"signal {kind}",
            "a class basis, the label's projection (drtp), or none (frozen)",
            "Export with --learn none to infer only",
        )
    if kind == "ClassBasis":
        _check_basis(name, signal)
    if eligibility["kind"] != "TwoTrace":
        _refuse(name, f"eligibility {eligibility['kind']}", "two traces")
    if not eligibility["trace_input"]:
        _refuse(name, "an untraced input", "trace_input")
    for trace in about.traces.values():
        if trace.trace_bias and trace.pre_gain != 1.0:
            _refuse(name, f"a traced bias and pre_gain {trace.pre_gain:g}", "pre_gain 1")
    if any(fast for trace in about.traces.values() for fast in trace.fast.values()):
        _refuse(name, "a double-exponential pre trace", "a single one")
    if about.rule["surrogate"]["kind"] not in SURROGATES:
        _refuse(name, f"surrogate {about.rule['surrogate']['kind']}", f"one of {SURROGATES}")
    if about.rule["band"] is not None:
        _refuse(name, "a band of the membrane", "none")


def _check_basis(name: str, signal: dict[str, object]) -> None:
    if signal["basis"] not in BASES:
        _refuse(name, f"basis {signal['basis']}", f"one of {BASES}")
    if signal["scale"] == "l2_full" or signal["mixing"] != "none":
        _refuse(name, f"scale {signal['scale']}, mixing {signal['mixing']}", "l2, mean, sqrt")
