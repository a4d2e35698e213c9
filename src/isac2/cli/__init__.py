"""The command line: one thin module a verb, and the historical command lines."""
