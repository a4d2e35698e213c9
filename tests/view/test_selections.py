from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from isac2.errors import InputError
from isac2.view.selections import Change, Selection, SelectionFolder, merged, read_changes


@pytest.fixture
def folder(tmp_path: Path) -> SelectionFolder:
    return SelectionFolder(tmp_path / "selections")


def test_nothing_is_made_before_something_is_saved(folder: SelectionFolder) -> None:
    assert folder.names() == []
    assert folder.read("good") == Selection("good")
    assert not folder.path.exists()


def test_changes_are_on_disk_at_once(folder: SelectionFolder) -> None:
    folder.change("good", [Change(3, "chosen", True), Change(1, "chosen", True)], 0)
    after = folder.change("good", [Change(3, "label", "good"), Change(3, "note", "ü")], 1)
    assert after.revision == 2
    assert after.chosen == [1, 3]
    assert SelectionFolder(folder.path).read("good") == after
    assert (folder.path / "good.txt").read_text() == "1\n3\n"
    assert after.marks[3].since == {"chosen": 1, "label": 2, "note": 2}


def test_a_change_that_changes_nothing_is_no_revision(folder: SelectionFolder) -> None:
    folder.change("good", [Change(1, "chosen", True)], 0)
    assert folder.change("good", [Change(1, "chosen", True)], 0).revision == 1


def test_two_tabs_keep_each_other_s_work() -> None:
    start = merged(Selection("s"), [Change(1, "chosen", True)], base=0)
    first = merged(start, [Change(2, "chosen", True), Change(1, "note", "from A")], base=1)
    second = merged(first, [Change(3, "chosen", True), Change(1, "note", "from B")], base=1)
    assert second.chosen == [1, 2, 3]
    assert second.marks[1].note == "from A\nfrom B"


def test_a_note_written_on_top_of_the_newest_replaces_it() -> None:
    first = merged(Selection("s"), [Change(1, "note", "old")], base=0)
    assert merged(first, [Change(1, "note", "new")], base=1).marks[1].note == "new"


def test_undoing_leaves_what_changed_since() -> None:
    first = merged(Selection("s"), [Change(1, "chosen", True), Change(2, "chosen", True)], base=0)
    other = merged(first, [Change(1, "chosen", False)], base=1)
    other = merged(other, [Change(1, "chosen", True)], base=2)
    undone = merged(other, [Change(1, "chosen", False), Change(2, "chosen", False)], 1, strict=True)
    assert undone.chosen == [1]


def test_many_writers_lose_nothing(folder: SelectionFolder) -> None:
    """Each thread has a folder object of its own, as two viewers of one run have."""

    def write(first: int) -> None:
        own = SelectionFolder(folder.path)
        for number in range(first, 40, 4):
            own.change("good", [Change(number, "chosen", True)], 0)

    threads = [threading.Thread(target=write, args=(first,)) for first in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = folder.read("good")
    assert after.chosen == list(range(1, 40))
    assert after.revision == 39


def test_the_selection_changed_last_comes_first(folder: SelectionFolder) -> None:
    folder.change("a", [Change(1, "chosen", True)], 0)
    folder.change("b", [Change(1, "chosen", True)], 0)
    folder.change("a", [Change(2, "chosen", True)], 1)
    assert folder.names() == ["a", "b"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", ".x", "x.", "a" * 65, "\0"])
def test_names_that_lead_elsewhere_are_refused(folder: SelectionFolder, name: str) -> None:
    with pytest.raises(InputError, match="is no name for a selection"):
        folder.change(name, [Change(1, "chosen", True)], 0)
    assert not folder.path.exists()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "selections").symlink_to("elsewhere")
    with pytest.raises(InputError, match="is a link"):
        SelectionFolder(tmp_path / "selections").change("a", [Change(1, "chosen", True)], 0)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "classes": 3}'])
def test_a_damaged_file_is_named_and_kept(folder: SelectionFolder, text: str) -> None:
    folder.path.mkdir()
    (folder.path / "good.json").write_text(text)
    with pytest.raises(InputError, match=r"good\.json cannot be read as a selection"):
        folder.change("good", [Change(1, "chosen", True)], 0)
    assert (folder.path / "good.json").read_text() == text


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        [1],
        [{"class": 0, "field": "chosen", "value": True}],
        [{"class": True, "field": "chosen", "value": True}],
        [{"class": 1, "field": "chosen", "value": "yes"}],
        [{"class": 1, "field": "since", "value": "x"}],
        [{"class": 1, "field": "note", "value": "x" * 4001}],
    ],
)
def test_what_is_no_change_is_refused(values: object) -> None:
    with pytest.raises(InputError):
        read_changes(json.loads(json.dumps(values)))


def test_what_is_removed_can_be_brought_back(folder: SelectionFolder) -> None:
    for value in (1, 2):
        folder.change("good", [Change(value, "chosen", True)], 0)
        folder.remove("good")
    assert folder.names() == []
    assert not (folder.path / "good.txt").exists()
    assert folder.restore("good").chosen == [2]
    assert (folder.path / "good.txt").read_text() == "2\n"
    with pytest.raises(InputError, match="new selection 'good'"):
        folder.restore("good")
    folder.remove("good")
    for chosen in ([2], [1]):  # the one removed last first
        assert folder.restore("good").chosen == chosen
        folder.file("good").unlink()
    with pytest.raises(InputError, match="no selection 'good' has been removed"):
        folder.restore("good")
    with pytest.raises(InputError, match="no selection 'good' to be removed"):
        folder.remove("good")


def test_what_was_removed_is_not_made_anew_by_who_did_not_know(folder: SelectionFolder) -> None:
    folder.change("good", [Change(1, "chosen", True)], 0)
    folder.remove("good")
    with pytest.raises(InputError, match="'good' has been removed"):
        folder.change("good", [Change(2, "chosen", True)], 1)
    assert folder.change("good", [Change(3, "chosen", True)], 0).chosen == [3]


def test_a_link_in_the_place_of_the_removed_is_refused(folder: SelectionFolder) -> None:
    folder.change("good", [Change(1, "chosen", True)], 0)
    elsewhere = folder.path.parent / "elsewhere"
    elsewhere.mkdir()
    (folder.path / "removed").symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        folder.remove("good")
    assert folder.read("good").chosen == [1]
    assert not list(elsewhere.iterdir())
