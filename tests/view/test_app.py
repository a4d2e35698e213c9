"""The viewer over real connections: what it answers, and to whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.run.directory import RunDirectory
from isac2.stacks import open_stack, read_eman_headers

CHOOSE_2 = {"base": 0, "changes": [{"class": 2, "field": "chosen", "value": True}]}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_page_is_the_report_with_a_selection(viewer: Any) -> None:
    status, text = viewer.ask("GET", "")
    assert status == 200
    assert 'id="picker"' in text
    assert 'id="report-data"' in text


def test_a_choice_is_saved_and_read_back(viewer: Any) -> None:
    status, answer = viewer.ask("POST", "selections/good%20ones", CHOOSE_2)
    assert status == 200
    assert answer["revision"] == 1
    assert viewer.ask("GET", "selections/good%20ones")[1]["classes"]["2"]["chosen"] is True
    assert viewer.ask("GET", "poll")[1]["selections"] == [
        {"name": "good ones", "revision": 1, "chosen": 1}
    ]
    saved = json.loads((viewer.run / "selections" / "good ones.json").read_text())
    assert saved["classes"]["2"]["chosen"] is True


def test_exports_are_those_of_isac2_select(viewer: Any) -> None:
    viewer.ask("POST", "selections/a", CHOOSE_2)
    folder = viewer.run / "selections"
    for kind, name in (("ids", "a_ids.txt"), ("star", "a.star"), ("cs", "a.cs"), ("lst", "a.lst")):
        for others, particles in ((False, 2), (True, 9)):
            status, made = viewer.ask("POST", "export/a", {"kind": kind, "others": others})
            assert (status, made["particles"]) == (200, particles), made
        own = folder / name
        other = viewer.run.parent / f"by_select{own.suffix}"
        assert main(["select", str(viewer.run), str(other), "--classes=2"]) == 0
        if kind == "ids":
            assert own.read_text() == other.read_text()
        else:
            mine, theirs = open_stack(own), open_stack(other)
            np.testing.assert_array_equal(mine.read(), theirs.read())
            np.testing.assert_array_equal(mine.metadata.class_number, theirs.metadata.class_number)
    made = viewer.ask("POST", "export/a", {"kind": "averages", "others": True})[1]
    assert [list(h["members"]) for h in read_eman_headers(Path(made["path"]))] == [
        [0, 1, 2],
        [5, 6, 7, 8],
        [10, 11],
    ]
    # the list beside the selection is one of isac2 select, too
    assert main(["select", str(viewer.run), str(viewer.run.parent / "b.txt"), "--from",
                 str(folder / "a.txt")]) == 0  # fmt: skip
    assert (viewer.run.parent / "b.txt").read_text() == (folder / "a_ids.txt").read_text()


def test_an_export_is_made_anew_and_can_be_saved_elsewhere(viewer: Any) -> None:
    viewer.ask("POST", "selections/a", CHOOSE_2)
    viewer.ask("POST", "export/a", {"kind": "ids"})
    assert viewer.ask("GET", "files/a_ids.txt")[1].split() == ["3", "4"]
    more = {"base": 1, "changes": [{"class": 4, "field": "chosen", "value": True}]}
    viewer.ask("POST", "selections/a", more)
    viewer.ask("POST", "export/a", {"kind": "ids"})
    assert viewer.ask("GET", "files/a_ids.txt")[1].split() == ["3", "4", "10", "11"]


def test_nothing_is_written_but_selections(viewer: Any) -> None:
    before = files(viewer.run.parent)
    viewer.ask("GET", "")
    viewer.ask("GET", "poll")
    assert files(viewer.run.parent) == before
    viewer.ask("POST", "selections/a", CHOOSE_2)
    viewer.ask("POST", "export/a", {"kind": "star"})
    new = files(viewer.run.parent) - before
    assert new
    assert all(name.startswith("run/selections/") for name in new)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("selections/..%2Fx", CHOOSE_2),
        ("selections/a", {"changes": []}),
        ("selections/a", {"base": 0, "changes": [{"class": -1}]}),
        ("selections/a", [1]),
        ("export/a", {"kind": "exe"}),
        ("export/empty", {"kind": "star"}),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(viewer: Any, path: str, document: Any) -> None:
    before = files(viewer.run)
    status, answer = viewer.ask("POST", path, document)
    assert status in (400, 404)
    if status == 400:
        assert answer["error"].endswith((".", "page.", "first."))
    assert files(viewer.run) == before


@pytest.mark.parametrize("name", ["..%2Frun.json", "%2E%2E/run.json", ".lock", "none.star"])
def test_only_files_of_selections_are_handed_out(viewer: Any, name: str) -> None:
    viewer.ask("POST", "selections/a", CHOOSE_2)
    assert viewer.ask("GET", f"files/{name}")[0] in (400, 404)


def test_links_among_the_selections_are_not_followed(viewer: Any) -> None:
    viewer.ask("POST", "selections/a", CHOOSE_2)
    (viewer.run / "selections" / "x.star").symlink_to(viewer.run / "particles.star")
    assert viewer.ask("GET", "files/x.star")[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_who_may_read(viewer: Any, headers: dict[str, str], status: int) -> None:
    assert viewer.ask("GET", "poll", **headers)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, 421),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Content_Length": "99999999"}, 413),
    ],
)
def test_who_may_change(viewer: Any, headers: dict[str, str], status: int) -> None:
    assert viewer.ask("POST", "selections/a", CHOOSE_2, **headers)[0] == status
    assert not (viewer.run / "selections").exists()


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/poll", "/the-tokem/", "//poll"])
def test_nothing_is_said_without_the_token(viewer: Any, path: str) -> None:
    status, text = viewer.ask("GET", path)
    assert status == 404
    assert "the-token" not in text
    assert viewer.ask("POST", path, CHOOSE_2)[0] == 404


def test_the_token_is_never_handed_on(viewer: Any) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=30)
    connection.request("GET", "/the-token/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'nonce-" in policy
    assert "frame-ancestors 'none'" in policy


def test_poll_tells_when_the_run_has_gone_on(live_viewer: Any) -> None:
    first = live_viewer.ask("GET", "poll")[1]
    assert first["run"]["state"] == "stopped"
    assert (first["run"]["classes"], first["run"]["accounted"]) == (2, 5)
    assert live_viewer.ask("GET", "poll")[1]["tag"] == first["tag"]
    live_viewer.go_on(classes=3, forming=0)
    second = live_viewer.ask("GET", "poll")[1]
    assert second["tag"] != first["tag"]
    assert second["run"]["classes"] == 3


def test_exports_of_a_run_that_goes_on_are_of_its_classes_so_far(live_viewer: Any) -> None:
    live_viewer.ask("POST", "selections/a", CHOOSE_2)
    folder, run = live_viewer.run / "selections", RunDirectory(live_viewer.run)
    status, made = live_viewer.ask("POST", "export/a", {"kind": "ids"})
    assert (status, made["particles"]) == (200, 2)
    assert (folder / "a_ids.txt").read_text().split() == ["3", "4"]
    live_viewer.ask("POST", "export/a", {"kind": "averages", "others": True})
    headers = read_eman_headers(folder / "a_others_averages.hdf")
    assert [list(header["members"]) for header in headers] == [[0, 1, 2]]
    # the record names the particles as the run was told; here it is another folder that asks
    assert live_viewer.ask("POST", "export/a", {"kind": "star"})[0] == 400
    output = live_viewer.run.parent / "so_far.star"
    stack = live_viewer.run.parent / "p.mrcs"
    arguments = ["select", str(live_viewer.run), str(output), f"--stack={stack}"]
    assert main([*arguments, "--classes=2", "--unaccounted"]) == 0
    chosen = open_stack(output)
    assert chosen.metadata.class_number.tolist() == [2, 2, *[0] * 7]
    assert not run.class_averages.exists()
