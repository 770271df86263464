"""What lives too long shows as memory that grows: scripts in processes of their own (lifetimes/).

MICROGRAD_STEPS sets how many steps each one takes: 200000 in an extended run.
"""
import os
import pathlib
import sys

import pytest

from processes import python

if sys.platform != "linux":
    pytest.skip("reads /proc, and forks", allow_module_level=True)

FOLDER = pathlib.Path(__file__).with_name("lifetimes")
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "growth")
STEPS = os.environ.get("MICROGRAD_STEPS", "").split()


@pytest.mark.parametrize("script", SCRIPTS)
def test_lifetimes(script):
    print(python(FOLDER / f"{script}.py", *STEPS))
