# cython: language_level=3, c_api_binop_methods=True, auto_pickle=False, binding=False
# cython: boundscheck=False, wraparound=False, cdivision=True
"""micrograd._core: the compiled engine, read from top to bottom."""

include "node.pxi"      # what a node is, the pool it comes from, who owns it and when it dies
include "objects.pxi"   # Python numbers in and out; data that is no plain number
include "backward.pxi"  # topological order, the reverse sweep, Python callbacks
include "nn.pxi"        # fused layers
include "value.pxi"     # class Value: the operators and attributes of the original
include "copying.pxi"   # copy and deepcopy
