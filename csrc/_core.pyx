# cython: language_level=3, c_api_binop_methods=True, auto_pickle=False, binding=False
# cython: boundscheck=False, wraparound=False, cdivision=True
"""micrograd._core: the compiled engine, read from top to bottom."""

include "python.pxi"      # declarations: C, Python's C API, the headers ops.h and layer.h
include "replay_h.pxi"    # ... replay.h
include "node.pxi"        # what a node is, who owns it and when it dies: the essay to start with
include "pool.pxi"        # where nodes come from
include "objects.pxi"     # Python's numbers in and out; data that is no plain number
include "call.pxi"        # a node of many operands
include "access.pxi"      # what a program overrides
include "custom.pxi"      # a program's own operations
include "backward.pxi"    # topological order, the reverse sweep, Python callbacks
include "modules.pxi"     # fused layers: what a network is made of, and that it still is
include "parameters.pxi"  # ... where their parameters stand
include "layer.pxi"       # ... the call: forward, backward, the plain nodes
include "predict.pxi"     # ... forward without a graph
include "constructor.pxi" # the constructor of Value and of its subclasses
include "value.pxi"       # class Value: the operators and attributes of the original
include "recording.pxi"   # recorded functions: what must not be done, and the graph
include "recording_steps.pxi"   # ... as a list of steps
include "replay.pxi"      # ... which is run anew
include "replay_columns.pxi"    # ... for all rows of columns
include "replay_call.pxi" # ... and gives the outputs of a call
include "replay_listing.pxi"    # ... and what the steps are
include "graph.pxi"       # the graph as a list of nodes
include "copying.pxi"     # ... taken apart and put together, for copy, deepcopy and pickle
include "optim.pxi"       # the optimisers' steps over the parameters
