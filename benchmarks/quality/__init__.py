"""The quality bench: what isac2 and RELION make of stacks whose truth is known.

Run: make quality, or python -m benchmarks.quality --help. `sets` is the table of stacks,
`ablations` that of options, `programs` runs a program on a stack, `scoring` holds its result
against the truth, `page` and `ablation_page` write what was measured into the documentation.
"""
