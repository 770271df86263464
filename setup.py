"""Describes the one extension; everything else stands in pyproject.toml."""
import platform

from setuptools import Extension, setup

# No fused multiply-add: every product and every sum is rounded on its own, as Python rounds them.
FLAGS = ["-O3", "-ffp-contract=off"] if platform.system() != "Windows" else ["/O2", "/fp:precise"]


def extensions():
    if platform.python_implementation() == "PyPy":
        return []       # it runs the reference, and fast
    from Cython.Build import cythonize
    core = Extension(
        "micrograd._core",
        ["csrc/_core.pyx"],
        extra_compile_args=FLAGS,
        # Value is a heap type: programs assign methods on the class.
        define_macros=[("CYTHON_USE_TYPE_SPECS", "1")],
    )
    return cythonize([core], build_dir="build", include_path=["csrc"])


setup(ext_modules=extensions())
