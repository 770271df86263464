"""Describes the one extension; everything else stands in pyproject.toml."""
import glob
import platform
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

# Every operation is rounded on its own, as Python rounds it, whatever CFLAGS says: these come after
# it. They are given to the linker too, where gcc's -ffast-math makes the whole process flush
# denormals to 0.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-unsafe-math-optimizations",
         "-fno-finite-math-only", "-fno-associative-math", "-fno-reciprocal-math", "-fsigned-zeros"]
if platform.system() == "Windows":
    FLAGS = ["/O2", "/fp:precise"]
elif platform.machine() in ("i386", "i586", "i686", "x86_64") and sys.maxsize < 2**32:
    FLAGS += ["-msse2", "-mfpmath=sse"]     # the older unit computes in 80 bits


class Build(build_ext):
    def run(self):
        try:
            super().run()
        except (CCompilerError, ExecError, PlatformError) as error:
            sys.exit(f"error: {error}\nmicrograd-native needs a C compiler and Python's headers: "
                     "on Debian and Ubuntu `apt install build-essential python3-dev`, on macOS "
                     "`xcode-select --install`, on Windows the Build Tools for Visual Studio with "
                     "C++.")


def extensions():
    if platform.python_implementation() == "PyPy":
        return []       # it runs the reference, and fast
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        sys.exit("micrograd-native has no free-threaded build: it needs a Python with the GIL.")
    from Cython.Build import cythonize
    core = Extension(
        "micrograd._core",
        ["csrc/_core.pyx"],
        depends=glob.glob("csrc/*.h"),  # Cython does not see those that a header includes
        extra_compile_args=FLAGS,
        extra_link_args=FLAGS if platform.system() != "Windows" else [],
        # Value is a heap type: programs assign methods on the class. Texts that Cython 3.2
        # compresses would have every import load zlib.
        define_macros=[("CYTHON_USE_TYPE_SPECS", "1"), ("CYTHON_COMPRESS_STRINGS", "0")],
    )
    # Line numbers of csrc/ for sanitizers and gcov.
    return cythonize([core], build_dir="build", include_path=["csrc"], emit_linenums=True)


setup(ext_modules=extensions(), cmdclass={"build_ext": Build})
