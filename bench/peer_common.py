"""What the programs that measure PyTorch beside capdiff have in common."""
import ctypes
import platform
from pathlib import Path


def keep_memory():
    """Has glibc keep the memory of large tensors, which every step frees and asks for again, as capdiff does."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    libc = ctypes.CDLL(None)
    for setting, value in ((mmap_threshold, 1 << 30), (trim_threshold, 1 << 30), (top_pad, 1 << 26)):
        libc.mallopt(setting, value)


def openblas_kernels():
    """The processor for which OpenBLAS, where this process has loaded it, chose its kernels; OPENBLAS_CORETYPE decides."""
    files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "blas" in line}
    for file in sorted(files):
        library = ctypes.CDLL(file)
        if hasattr(library, "openblas_get_corename"):
            library.openblas_get_corename.restype = ctypes.c_char_p
            return library.openblas_get_corename().decode()
    return ""


def cpu_field(name):
    """What /proc/cpuinfo says of the first core."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def processor():
    return cpu_field("model name") or platform.processor()
