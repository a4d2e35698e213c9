"""The numerical kernels behind the alignment, one interface for every device."""
