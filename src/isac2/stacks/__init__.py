"""What a particle stack is: lazy pixels and one table of metadata, one module a format."""

from isac2.stacks.checking import check_stack
from isac2.stacks.eman_hdf import read_eman_headers, write_eman_hdf
from isac2.stacks.metadata import ForeignTables, Metadata, unknown_metadata
from isac2.stacks.mrc import write_mrcs
from isac2.stacks.opening import open_stack
from isac2.stacks.relion import write_particles_star
from isac2.stacks.stack import Stack
from isac2.stacks.star import StarTable, read_star, write_star
from isac2.stacks.writing import WriteOptions, write_stack

__all__ = [
    "ForeignTables",
    "Metadata",
    "Stack",
    "StarTable",
    "WriteOptions",
    "check_stack",
    "open_stack",
    "read_eman_headers",
    "read_star",
    "unknown_metadata",
    "write_eman_hdf",
    "write_mrcs",
    "write_particles_star",
    "write_stack",
    "write_star",
]
