"""The kernels and their launches; nothing else in this plugin imports triton."""
