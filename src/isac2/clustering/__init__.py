"""Equal-size assignment, stability, one generation (SAC), and the whole method."""
