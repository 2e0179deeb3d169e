"""inferd plugin: attention and small ops of a CPU, compiled by numba."""
