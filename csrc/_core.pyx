# cython: language_level=3, c_api_binop_methods=True, auto_pickle=False, binding=False
# cython: boundscheck=False, wraparound=False, cdivision=True
"""micrograd._core: the compiled engine, read from top to bottom."""

include "python.pxi"      # declarations: C, Python's C API, the headers ops.h and layer.h
include "node.pxi"        # what a node is, who owns it and when it dies: the essay to start with
include "pool.pxi"        # where nodes come from
include "objects.pxi"     # Python's numbers in and out; data that is no plain number
include "backward.pxi"    # topological order, the reverse sweep, Python callbacks
include "layer.pxi"       # fused layers: the essay, forward and backward
include "parameters.pxi"  # ... where their parameters stand
include "may_fuse.pxi"    # ... when a layer may be fused
include "expand.pxi"      # ... the plain nodes, on demand
include "predict.pxi"     # ... forward without a graph
include "value.pxi"       # class Value: the operators and attributes of the original
include "copying.pxi"     # copy and deepcopy
include "pickling.pxi"    # pickle
include "optim.pxi"       # the optimisers' steps over the parameters
