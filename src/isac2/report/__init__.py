"""The page on which people look at the classes."""
