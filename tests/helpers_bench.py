"""Step times in rounds that tests of ratios, records and tables share."""

BLOCKS = {
    "tess float32": [[2.0, 2.0, 9.0], [4.0], [4.0]],
    "tess bf16": [[1.0], [1.0], [2.0]],
    "bptt float32": [[6.0], [6.0], [9.0]],
    "bptt bf16": [[3.0], [4.0], [5.0]],
    "naive float32": [[10.0], [12.0], [11.0]],
    "floor float32": [[1.0], [1.0], [1.0]],
    "floor bf16": [[0.625], [0.8], [0.75]],
    "spikingjelly bptt": [[7.0], [8.0], [9.0]],
}
