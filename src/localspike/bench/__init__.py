"""`localspike bench`: methods timed in turns within one run, their memory, and records of both.

Every method lives in a process of its own that proves its result before it is timed; `rounds`
takes the processes in turns, `figures` makes ratios of medians, `record` writes what came of it
with hardware, versions, command and revision.
"""
