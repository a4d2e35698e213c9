"""Choosing classes in a real browser, with the viewer that a person would have.

The viewer comes before the tabs in each test: it then ends after them, and no tab misses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page


def opened(tabs: BrowserContext, viewer: Any) -> Page:
    """Return a tab with the run's page, once it knows the selections."""
    page = tabs.new_page()
    page.goto(viewer.address)
    says(page.locator("#chosen-count"), "chosen")
    return page


def says(place: Locator, words: str) -> None:
    """Wait until a place on the page has these words."""
    from playwright.sync_api import expect

    expect(place).to_contain_text(words)


def tile(page: Page, number: int) -> Locator:
    return page.locator(f'#gallery li[data-index="{number - 1}"] .tile')


def is_chosen(page: Page, number: int) -> bool:
    return tile(page, number).get_attribute("aria-pressed") == "true"


def chosen_on_disk(viewer: Any, name: str = "selection") -> list[int]:
    return [int(word) for word in (viewer.run / "selections" / f"{name}.txt").read_text().split()]


def saved(page: Page) -> None:
    """Wait until everything is saved."""
    from playwright.sync_api import expect

    expect(page.locator("#saved")).to_have_text("Saved")


def is_open(page: Page, name: str) -> None:
    """Wait until the selection of this name is the one that is shown."""
    from playwright.sync_api import expect

    expect(page.locator("#selection-name")).to_have_value(name)


def test_select_save_reload_export(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    page.locator("#sort").select_option("number")
    tile(page, 2).click()
    tile(page, 4).click(modifiers=["Shift"])
    says(page.locator("#chosen-count"), "3 of 4 classes chosen, 8 particles")
    tile(page, 3).click()
    saved(page)
    assert chosen_on_disk(viewer) == [2, 4]
    page.reload()
    says(page.locator("#chosen-count"), "2 of 4 classes chosen, 4 particles")
    assert [is_chosen(page, number) for number in (1, 2, 3, 4)] == [False, True, False, True]
    page.locator('[data-export="ids"]').click()
    says(page.locator("#exported"), "4 particles of 2 classes")
    ids = (viewer.run / "selections" / "selection_ids.txt").read_text().split()
    assert ids == ["3", "4", "10", "11"]
    with page.expect_download() as download:
        page.get_by_role("link", name="Save elsewhere").click()
    assert download.value.path().read_text().split() == ids


def test_labels_notes_and_undo(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    tile(page, 1).focus()
    page.keyboard.press("Space")
    page.keyboard.press("j")
    saved(page)
    says(tile(page, 1).locator(".label"), "junk")
    page.keyboard.press("Enter")
    says(page.locator("#class-title"), "Class 1")
    page.get_by_role("textbox", name="Note").fill("two views in one")
    page.get_by_label("Label", exact=True).fill("mixed")
    page.keyboard.press("Escape")  # leaves the label, which is a change of it
    says(tile(page, 1).locator(".label"), "mixed")
    saved(page)
    mark = viewer.ask("GET", "selections/selection")[1]["classes"]["1"]
    assert (mark["chosen"], mark["label"], mark["note"]) == (True, "mixed", "two views in one")
    for _ in range(2):  # the label and the note
        page.keyboard.press("Control+z")
    says(tile(page, 1).locator(".label"), "junk")
    page.locator("#undo").click()
    page.locator("#undo").click()
    says(page.locator("#chosen-count"), "0 of 4 classes chosen")
    page.keyboard.press("Control+Shift+Z")
    says(page.locator("#chosen-count"), "1 of 4 classes chosen")
    saved(page)
    assert chosen_on_disk(viewer) == [1]


def test_a_note_that_is_being_written_is_kept_when_the_page_goes(
    viewer: Any, tabs: BrowserContext
) -> None:
    from playwright.sync_api import expect

    page = opened(tabs, viewer)
    page.on("dialog", lambda dialog: dialog.accept())  # whether to leave what is not yet saved
    tile(page, 1).focus()
    page.keyboard.press("Enter")
    says(page.locator("#class-title"), "Class 1")
    page.get_by_role("textbox", name="Note").click()
    page.keyboard.type("half a sentence")
    page.reload()
    says(page.locator("#chosen-count"), "chosen")
    expect(tile(page, 1)).to_have_attribute("title", "half a sentence")


def test_a_double_click_opens_and_does_not_choose(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    tile(page, 3).dblclick()
    says(page.locator("#class-title"), "Class 3")
    page.keyboard.press("Escape")
    saved(page)
    assert not is_chosen(page, 3)


def test_what_filters_show_is_chosen_at_once(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    page.get_by_label("Class size from, particles").fill("3")
    page.locator("#choose-shown").click()
    says(page.locator("#chosen-count"), "2 of 4 classes chosen, 7 particles")
    page.locator("#reset").click()
    page.locator("#marks-shown").select_option("not chosen")
    assert page.locator("#gallery li").count() == 2
    page.locator("#marks-shown").select_option("")
    page.locator("#invert-shown").click()
    says(page.locator("#chosen-count"), "2 of 4 classes chosen, 4 particles")
    page.locator("#picker [data-label=good]").click()
    page.locator("#marks-shown").select_option("label good")
    assert page.locator("#gallery li").count() == 2
    saved(page)
    assert chosen_on_disk(viewer) == [2, 4]


def test_named_selections(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    tile(page, 1).click()
    page.locator("#selection-copy").click()
    page.locator("#name-input").fill("strict")
    page.locator("#name-dialog").get_by_role("button", name="OK").click()
    is_open(page, "strict")
    tile(page, 1).click()
    tile(page, 4).click()
    says(page.locator("#chosen-count"), "1 of 4 classes chosen, 2 particles")
    saved(page)
    assert chosen_on_disk(viewer) == [1]
    assert chosen_on_disk(viewer, "strict") == [4]
    page.locator("#selection-name").select_option("selection")
    tile(page, 2).click()  # whether or not the selection is there yet
    says(page.locator("#chosen-count"), "2 of 4 classes chosen, 5 particles")
    saved(page)
    assert chosen_on_disk(viewer) == [1, 2]
    assert chosen_on_disk(viewer, "strict") == [4]
    page.locator("#selection-new").click()
    page.locator("#name-input").fill("../no")
    page.locator("#name-dialog").get_by_role("button", name="OK").click()
    assert page.locator("#name-dialog").is_visible()  # the browser says what is wrong with it
    page.locator("#name-dialog").get_by_role("button", name="Cancel").click()


def test_a_selection_is_removed_and_brought_back(viewer: Any, tabs: BrowserContext) -> None:
    page, other = opened(tabs, viewer), opened(tabs, viewer)
    tile(page, 3).click()
    saved(page)
    page.locator("#selection-new").click()
    page.locator("#name-input").fill("strict")
    page.locator("#name-dialog").get_by_role("button", name="OK").click()
    is_open(page, "strict")
    tile(page, 1).click()
    saved(page)
    other.bring_to_front()
    says(other.locator("#selection-name"), "strict")
    other.locator("#selection-name").select_option("strict")
    says(other.locator("#chosen-count"), "1 of 4 classes chosen, 3 particles")
    page.bring_to_front()
    page.locator("#selection-remove").click()
    says(page.locator("#exported"), "“strict” has been removed")
    is_open(page, "selection")
    says(page.locator("#chosen-count"), "1 of 4 classes chosen, 4 particles")
    assert not (viewer.run / "selections" / "strict.json").exists()
    other.bring_to_front()
    says(other.locator("#exported"), "“strict” has been removed elsewhere")
    is_open(other, "selection")
    page.bring_to_front()
    page.get_by_role("button", name="Bring it back").click()
    is_open(page, "strict")
    says(page.locator("#chosen-count"), "1 of 4 classes chosen, 3 particles")
    assert chosen_on_disk(viewer, "strict") == [1]


def test_a_range_is_chosen_by_keys(viewer: Any, tabs: BrowserContext) -> None:
    page = opened(tabs, viewer)
    page.locator("#sort").select_option("number")
    tile(page, 1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    says(page.locator("#chosen-count"), "1 of 4")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    says(page.locator("#chosen-count"), "3 of 4 classes chosen, 8 particles")
    saved(page)
    assert chosen_on_disk(viewer) == [2, 3, 4]


def test_two_tabs_see_and_keep_each_other_s_work(viewer: Any, tabs: BrowserContext) -> None:
    one, other = opened(tabs, viewer), opened(tabs, viewer)
    tile(one, 1).click()
    tile(other, 2).click()
    saved(one)
    saved(other)
    assert chosen_on_disk(viewer) == [1, 2]
    one.bring_to_front()
    says(one.locator("#chosen-count"), "2 of 4")
    other.bring_to_front()
    says(other.locator("#chosen-count"), "2 of 4")
    one.locator("#undo").click()  # takes back what was done in this tab only
    saved(one)
    assert chosen_on_disk(viewer) == [2]


def test_the_page_follows_a_run_that_goes_on(live_viewer: Any, tabs: BrowserContext) -> None:
    from playwright.sync_api import expect

    page = opened(tabs, live_viewer)
    says(page.locator("#live"), "so far 2 classes of 5 of 12 particles")
    assert page.locator("#gallery li").count() == 2
    assert page.locator("#forming-gallery li").count() == 1
    page.locator("#sort").select_option("size")
    tile(page, 1).click()
    saved(page)
    live_viewer.go_on(classes=3, forming=2)
    says(page.locator("#live"), "so far 3 classes")
    says(page.locator("#count"), "All 3 classes, 9 particles")
    says(page.locator(".figures"), "Not yet")
    assert page.locator("#forming-gallery li").count() == 2
    assert page.locator("#sort").input_value() == "size"
    assert is_chosen(page, 1)
    tile(page, 3).click()
    live_viewer.finish()
    says(page.locator("#count"), "All 4 classes, 11 particles")
    expect(page.locator("#live")).to_be_hidden()
    saved(page)
    assert [is_chosen(page, number) for number in (1, 2, 3, 4)] == [True, False, True, False]
    page.locator('[data-export="star"]').click()
    says(page.locator("#exported"), "7 particles of 2 classes")


def test_what_another_site_sends_changes_nothing(viewer: Any, browser: Browser) -> None:
    """A page of another origin that knows the address, which it never does, posts a form to it."""
    page = browser.new_page()
    page.route(
        "http://evil.example/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{viewer.address}selections/a" enctype="text/plain">'
            '<input name=\'{"base":0,"changes":[],"x":"\' value=\'"}\'><button>x</button></form>',
        ),
    )
    page.goto("http://evil.example/")
    with page.expect_navigation() as answer:
        page.get_by_role("button").click()
    found = answer.value
    page.close()
    assert found is not None
    assert found.status == 403
    assert not (viewer.run / "selections").exists()
