"""Programs of SPHIRE and EMAN2 that the manual page's recipes call, as far as they need them."""
