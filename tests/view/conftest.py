from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from isac2.clustering.state import IsacState, StableGroup
from isac2.poses import identity_poses, make_poses, relion_from_poses
from isac2.run.checkpoint import save_arrays, save_state
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings
from isac2.run.record import InputRecord, new_record, write_record
from isac2.run.text_tables import write_table
from isac2.stacks import open_stack, write_eman_hdf, write_mrcs, write_particles_star
from isac2.view.app import make_app
from isac2.view.server import _listening

MEMBERS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [10, 11]]
COUNT, BOX = 12, 16
TOKEN = "the-token"
RESULTS = ("class_averages.hdf", "particles.star", "all_parameters.txt", "finished")


@dataclass(frozen=True)
class Viewer:
    """A viewer that answers, and the run that it shows."""

    run: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"

    def go_on(self, classes: int, forming: int) -> None:
        """Have the run find so many classes, and have so many groups that are none yet."""
        leave_state(self.run, classes, forming)

    def finish(self) -> None:
        """Have the run end: as it was before it was made an unfinished one."""
        for name in ("run.json", *RESULTS):
            (self.run.parent / f"kept_{name}").replace(self.run / name)

    def ask(
        self, method: str, path: str, document: Any = None, /, **headers: str
    ) -> tuple[int, Any]:
        """Return status and JSON (or text) of an answer; `path` is relative to the token."""
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if method == "POST":
            sent |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = None if document is None else json.dumps(document)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            target = path if path.startswith("/") else f"/{TOKEN}/{path}"
            connection.request(method, target, body, {k: v for k, v in sent.items() if v})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8")
        finally:
            connection.close()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(text) if is_json else text


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with four classes of twelve particles."""
    rng = np.random.default_rng(3)
    write_mrcs(tmp_path / "p.mrcs", rng.normal(size=(COUNT, 4, 4)), 1.5)
    poses = make_poses(np.arange(COUNT) * 30.0, 0.5, 1.0, np.arange(COUNT) % 2)
    psi, x, y, flip = relion_from_poses(poses, 1.5)
    number = np.zeros(COUNT, np.int64)
    for k, members in enumerate(MEMBERS):
        number[members] = k + 1
    folder = RunDirectory(tmp_path / "run")
    folder.path.mkdir()
    columns = {
        "rlnClassNumber": number,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": x,
        "rlnOriginYAngst": y,
        "rlnIsFlip": flip,
    }
    write_particles_star(folder.particles_star, open_stack(tmp_path / "p.mrcs"), columns)
    averages = rng.normal(size=(len(MEMBERS), BOX, BOX)).astype(np.float32)
    headers = [
        {"members": np.array(m), "resolution": 10.0 + k, "generation": 1, "main_iteration": 1}
        for k, m in enumerate(MEMBERS)
    ]
    write_eman_hdf(folder.class_averages, averages, headers, 3.0)
    write_table(folder.all_parameters, [poses["alpha"], poses["tx"], poses["ty"], poses["mirror"]])
    settings = Settings(radius=6, target_radius=6, target_box_size=16, minimum_group_size=1, seed=3)
    record = new_record(settings, InputRecord("p.mrcs", "mrc", COUNT, BOX, 1.5, "f"), seed=3)
    record.finished = "2026-01-01T00:00:00+00:00"
    record.classes, record.accounted = len(MEMBERS), 11
    write_record(folder.run_json, record)
    folder.finished.write_text("\n")
    return folder.path


def group(members: list[int], generation: int) -> StableGroup:
    rng = np.random.default_rng(generation)
    return StableGroup(
        members=np.array(members),
        poses=identity_poses(len(members)),
        pixel_errors=np.full(len(members), 0.1),
        average=rng.normal(size=(BOX, BOX)).astype(np.float32),
        rms_pixel_error=0.1,
        mirror_consistency=1.0,
        tested=len(members),
        main_iteration=1,
        generation=generation,
    )


def leave_state(run: Path, classes: int, forming: int) -> None:
    """Have the run be one that goes on: so many classes, so many groups not yet tested."""
    directory = RunDirectory(run)
    if not directory.working_images.exists():
        images = np.random.default_rng(8).normal(size=(COUNT, BOX, BOX)).astype(np.float32)
        np.save(directory.working_images, images)
        directory.state.mkdir()
        save_arrays(directory.spectrum_state, {"weights": np.ones(3)})
        save_arrays(directory.prealignment_state, {"shifts": np.zeros((COUNT, 2))})
    found = tuple(group(MEMBERS[k], k + 1) for k in range(classes))
    pool = np.setdiff1d(np.arange(COUNT), [i for m in MEMBERS[:classes] for i in m])
    trying = tuple(group([int(i)], 9) for i in pool[:forming])
    state = IsacState(
        1, classes + 1, 1, pool, identity_poses(len(pool)), trying, (0.0,), accounted=found
    )
    save_state(directory.clustering_state, state)


@pytest.fixture
def unfinished(run: Path) -> Path:
    """A run that has two classes, and groups of which none is one yet."""
    directory = RunDirectory(run)
    for name in RESULTS:
        (run / name).replace(run.parent / f"kept_{name}")
    text = directory.run_json.read_text()
    (run.parent / "kept_run.json").write_text(text)
    directory.run_json.write_text(text.replace('"2026-01-01T00:00:00+00:00"', '""'))
    leave_state(run, classes=2, forming=1)
    return run


def served(run: Path) -> Iterator[Viewer]:
    with _listening(0) as listener:
        config = uvicorn.Config(
            make_app(run, TOKEN), log_level="warning", lifespan="off", ws="none", http="h11"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Viewer(run, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()


@pytest.fixture
def viewer(run: Path) -> Iterator[Viewer]:
    yield from served(run)


@pytest.fixture
def live_viewer(unfinished: Path) -> Iterator[Viewer]:
    yield from served(unfinished)
