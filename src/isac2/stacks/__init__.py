"""What a particle stack is: lazy pixels and one metadata table, one module a format."""
