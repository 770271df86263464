# cython: language_level=3, c_api_binop_methods=True, auto_pickle=False, binding=False
# cython: boundscheck=False, wraparound=False, cdivision=True
"""micrograd._core: the compiled engine, read from top to bottom."""

include "declarations.pxi"      # what Cython must know of C, Python's C API, and the headers
include "replay_declarations.pxi"       # ... of replay.h
include "node.pxi"        # what a node is, who owns it and when it dies: the essay to start with
include "pool.pxi"        # where nodes come from
include "objects.pxi"     # Python's numbers in and out; data that is no plain number
include "call.pxi"        # a node of many operands
include "access.pxi"      # what a program overrides
include "custom.pxi"      # a program's own operations
include "sort.pxi"        # topological order
include "backward.pxi"    # the reverse sweep, Python callbacks
include "modules.pxi"     # fused layers: what a network is made of, and that it still is
include "parameters.pxi"  # ... where their parameters stand
include "layer.pxi"       # ... the call: forward, backward, the plain nodes
include "predict.pxi"     # ... forward without a graph
include "constructor.pxi" # the constructor of Value and of its subclasses
include "arithmetic.pxi"  # operations, with operands of any kind of number
include "value.pxi"       # class Value: the operators and attributes of the original
include "recording.pxi"   # recordings: what a recorded function must not do; its graph
include "recording_steps.pxi"   # ... the steps made of that graph
include "replay_program.pxi"    # ... the steps ready to run
include "replay_run.pxi"  # ... runs of the steps, with other numbers
include "replay_columns.pxi"    # ... the columns that a run for many rows is given
include "replay_call.pxi" # ... a run's results as Values
include "replay_sweep.pxi"      # ... and their backward pass
include "replay_listing.pxi"    # ... the steps listed one operation at a time
include "graph.pxi"       # the graph as a list of nodes
include "copying.pxi"     # ... taken apart and put together, for copy, deepcopy and pickle
include "optim.pxi"       # the optimisers' steps over the parameters
