"""Pure functions on tensors; the equation is in each docstring."""
