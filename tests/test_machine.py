"""Both engines side by side in a state machine of Hypothesis: its rules are the operations of the
fuzzer's programs (fuzz/operations.py), in any order. After each step the data are equal to the last
bit, the gradients to rounding, and a Value lives in both engines or in none.

MICROGRAD_EXAMPLES sets how many machines are run, 20 if unset.
"""
import gc
import os

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import twins

if twins.COMPILED is None:
    pytest.skip("compares the compiled engine with the reference", allow_module_level=True)

from operations import AVOIDED, OPERATIONS
from program import Bytes, Machine, Notes

EXAMPLES = int(os.environ.get("MICROGRAD_EXAMPLES", 20))


class SideBySide(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.reference = Machine(twins.REFERENCE, Bytes(b""), Notes())
        self.compiled = Machine(twins.COMPILED, Bytes(b""), Notes())
        self.pair = self.reference, self.compiled

    def both(self, do):
        """The same on both engines; the second one must note what the first one has noted."""
        notes = Notes()
        self.reference.notes = notes
        do(self.reference)
        self.compiled.notes = notes.check()
        do(self.compiled)

    @invariant()
    def equal_values(self):
        """Without a look at the graph, which would change how the engine keeps it."""
        def describe(machine):
            machine.know_scale()
            machine.note("count", len(machine.v))
            for value in machine.v:
                machine.note_value("value", value)

        self.both(describe)

    @precondition(lambda self: len(self.reference.references) > len(self.reference.v)
                  and not self.reference.recordings)    # which keep the layers of their parameters
    @rule()
    def values_die_together(self):
        for machine in self.pair:
            machine.release_replaced()
        alive = [[r() is not None for r in machine.references] for machine in self.pair]
        assert alive[0] == alive[1]

    @rule()
    def equal_graphs(self):
        self.both(Machine.describe_all)

    def teardown(self):
        try:
            self.both(Machine.describe_all)
        finally:
            for machine in self.pair:
                machine.end()
            gc.collect()
            gc.freeze()     # what Hypothesis remembers of it: the next one's collections stay quick


def rule_of(operation):
    def run(self, arguments):
        def do(machine):
            machine.code = Bytes(arguments)
            machine.step(operation)

        self.both(do)

    run.__name__ = operation.__name__       # which Hypothesis reports
    return rule(arguments=st.binary(min_size=4, max_size=10))(run)


for operation in OPERATIONS:
    if not operation.wild and operation.__name__ not in AVOIDED:
        setattr(SideBySide, operation.__name__, rule_of(operation))

TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None,
                                   suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
