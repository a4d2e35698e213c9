"""Write small good files of every format into the corpus, for the fuzzer to start from."""

from __future__ import annotations

import bz2
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np

from isac2.poses import make_poses
from isac2.stacks import open_stack, write_eman_hdf, write_mrcs, write_stack
from isac2.stacks.eman_bdb_writing import pickle_header, write_eman_bdb
from isac2.stacks.eman_header import headers_from_metadata

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Write the seeds."""
    for name in ("star", "mrc", "gz", "hdf", "cs", "lst", "bdb", "pickle"):
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
    write_mrcs(CORPUS / "p.mrcs", np.arange(48.0).reshape(3, 4, 4), 1.5)
    stack = open_stack(CORPUS / "p.mrcs")
    stack.metadata = replace(
        stack.metadata,
        defocus_u_in_angstroms=np.full(3, 1e4),
        defocus_v_in_angstroms=np.full(3, 1e4),
        defocus_angle_in_degrees=np.full(3, 30.0),
        voltage_in_kilovolts=np.full(3, 300.0),
        spherical_aberration_in_millimetres=np.full(3, 2.7),
        amplitude_contrast=np.full(3, 0.1),
        micrograph=np.array(["a.mrc"] * 3, object),
        poses=make_poses([1, 2, 3], 0.5, -0.5, [0, 1, 0]),
    )
    for name in ("star", "cs", "lst"):
        write_stack(CORPUS / name / f"seed.{name}", stack)
        # Tables name the file as the target lays it out.
        content = (CORPUS / name / f"seed.{name}").read_bytes()
        (CORPUS / name / f"seed.{name}").write_bytes(content.replace(b"../p.mrcs", b"p.mrcs"))
    headers = headers_from_metadata(stack.metadata, {"members": [[1, 2]] * 3})
    write_eman_hdf(CORPUS / "hdf" / "seed.hdf", stack.read(), headers)
    content = (CORPUS / "p.mrcs").read_bytes()
    (CORPUS / "mrc" / "seed.mrcs").write_bytes(content)
    (CORPUS / "gz" / "seed.gz").write_bytes(gzip.compress(content, mtime=0))
    (CORPUS / "gz" / "seed.bz2").write_bytes(bz2.compress(content))
    (CORPUS / "pickle" / "seed.pickle").write_bytes(pickle_header(headers[0]))
    write_eman_bdb(f"bdb:{CORPUS}#x", stack.read(), headers)
    (CORPUS / "EMAN2DB" / "x.bdb").rename(CORPUS / "bdb" / "seed.bdb")
    (CORPUS / "EMAN2DB" / "x_4x4x1").unlink()
    (CORPUS / "EMAN2DB").rmdir()


if __name__ == "__main__":
    main()
