"""`isac2 relion`: as RELION's External job starts it, and started by RELION itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.simulate import PRESETS, simulate_stack
from isac2.stacks import open_stack, read_star

FAST = {
    "radius": "21",
    "CTF": "yes",
    "img_per_grp": "30",
    "minimum_grp_size": "8",
    "rand_seed": "1",
    "target_radius": "12",
    "target_nx": "34",
    "init_iter": "1",
    "maxit": "10",
}
EMPTY_PIPELINE = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter  1\n \n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with particles of two views; the process works in it."""
    recipe = PRESETS["tiny"].with_changes(particles=90, views=2)
    simulate_stack(recipe, tmp_path / "Extract")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_outputs(job: Path) -> None:
    """All names start from the project, which is the working directory."""
    assert (job / "RELION_JOB_EXIT_SUCCESS").exists()
    nodes = read_star(job / "RELION_OUTPUT_NODES.star")["output_nodes"]
    files = [name.decode() for name in nodes.columns["rlnPipeLineNodeName"]]
    assert files == [str(job / f"isac2_{part}.star") for part in ("data", "model", "optimiser")]
    assert nodes.numbers("rlnPipeLineNodeType").tolist() == [3, 8, 9]
    particles = open_stack(files[0])
    model = read_star(Path(files[1]))
    count = len(model["model_classes"])
    assert set(particles.metadata.class_number.tolist()) == set(range(1, count + 1))
    first = model["model_classes"].columns["rlnReferenceImage"][0].decode()
    assert first == f"000001@{job}/run/class_averages.mrcs"
    assert Path(first.partition("@")[2]).exists()
    optimiser = read_star(Path(files[2]))["optimiser_general"]
    assert optimiser.columns["rlnModelStarFile"][0].decode() == files[1]


def test_a_job_as_relion_starts_it(project: Path) -> None:
    job = Path("External/job001")
    job.mkdir(parents=True)
    (job / "job.star").write_text("what RELION has put there\n")
    words = [word for name, value in FAST.items() for word in (f"--{name}", value)]
    command = ["relion", "--o", f"{job}/", "--in_parts", "Extract/particles.star", *words]
    assert main([*command, "--skip_ordering", "--j", "2"]) == 0
    check_outputs(job)
    # the particles are those of the input, in the same pixels
    np.testing.assert_array_equal(
        open_stack(job / "isac2_data.star").read([0]),
        open_stack("Extract/particles.star").read(
            [
                int(read_star(job / "isac2_data.star")["particles"].columns["rlnImageName"][0][:6])
                - 1
            ]
        ),
    )
    # continued, the finished run is left as it is
    assert main([*command, "--skip_ordering", "--j", "1"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--radius", "40"],
        ["--radius", "x"],
        ["--radius", "21", "--CTF", "perhaps"],
        [],
        ["--radius", "21", "--unknown", "1"],
    ],
)
def test_a_job_that_cannot_run_fails(project: Path, words: list[str]) -> None:
    job = project / "External" / "job002"
    command = ["relion", "--o", f"{job}/", "--in_parts", "Extract/particles.star", *words]
    assert main(command) == 2
    assert [path.name for path in job.iterdir()] == ["RELION_JOB_EXIT_FAILURE"]


@pytest.mark.interop
def test_relion_itself_runs_the_job(project: Path) -> None:
    if shutil.which("relion_pipeliner") is None:
        pytest.skip("relion_pipeliner is not installed")
    (project / "default_pipeline.star").write_text(EMPTY_PIPELINE)
    program = project / "isac2"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        "'from isac2.cli.main import main; raise SystemExit(main())' \"$@\"\n"
    )
    program.chmod(0o755)
    options = [
        f"fn_exe == {program} relion",
        "in_part == Extract/particles.star",
        "nr_threads == 1",
    ]
    for number, (name, value) in enumerate(FAST.items(), 1):
        options += [f"param{number}_label == {name}", f"param{number}_value == {value}"]
    environment = {**os.environ, "RELION_QSUB_EXTRA_COUNT": "0"}

    def relion(*words: str) -> None:
        subprocess.run(
            ["relion_pipeliner", *words],
            env=environment,
            check=True,
            capture_output=True,
            timeout=240,
        )

    relion("--addJob", "External", "--addJobOptions", ";".join(options))
    relion("--RunJobs", "External/job001/", "--schedule", "one", "--sec_wait_after", "1")
    check_outputs(Path("External/job001"))
    pipeline = read_star(Path("default_pipeline.star"))
    assert pipeline["pipeline_processes"].numbers("rlnPipeLineProcessStatus").tolist() == [2]
    assert len(pipeline["pipeline_output_edges"]) == 3
