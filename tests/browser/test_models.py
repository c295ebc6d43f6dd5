"""Models as people look at them: chosen in the table's field, their mistakes clicked on, their images drawn with."""

import pytest
from visitor import Visitor, expect

LEFT, TOP, CELL = 52, 0, (47.5, 28.4)  # pixels: where the matrix lies in its chart, and the size of a cell


def choose(visitor: Visitor, name: str) -> Visitor:
    """Choose a model in the field below the table, and close its list, which on a phone covers the page."""
    page = visitor.page
    field = page.locator(".st-key-looked_at input")
    field.click()
    page.get_by_role("option", name=name, exact=True).click()
    field.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    return visitor.settle()


def look(visitor: Visitor, name: str) -> Visitor:
    """Choose a model, and the stress drawings, which are on every machine."""
    page = choose(visitor, name).page
    page.locator(".st-key-exam").get_by_text("Stress drawings", exact=True).click()
    expect(page.get_by_text("of 400 right")).to_be_visible()
    return visitor.settle()


def press_cell(visitor: Visitor, digit: int) -> None:
    """Press on the cell of those that were read rightly, and wait for its images."""
    position = {"x": LEFT + CELL[0] * (digit + 0.5), "y": TOP + CELL[1] * (digit + 0.5)}
    visitor.page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first.click(position=position)
    expect(visitor.page.get_by_text(f"A {digit}, read as {digit}:")).to_be_visible()
    visitor.settle()


def test_a_cell_of_the_matrix_is_clicked_its_image_opened_and_drawn_with(visit):
    visitor = look(visit("/models"), "CNN")
    page = visitor.page
    press_cell(visitor, 4)
    page.locator(".st-key-cell_true input").click()
    page.get_by_role("option", name="9", exact=True).click()
    expect(page.get_by_text("A 4, read as 4:")).to_have_count(0)
    press_cell(visitor.settle(), 4)
    press_cell(visitor, 8)
    page.get_by_role("button", name="8 as 8").first.click()
    expect(page.get_by_role("button", name="All images")).to_be_visible()
    visitor.settle().press("Open on the page Draw")
    visitor.settle("/")
    expect(visitor.answer("cnn")).to_have_text("8")


def test_a_row_of_the_table_chooses_its_model(visit):
    visitor = visit("/models")
    page = visitor.page
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator("canvas").first).to_be_visible()
    visitor.page.wait_for_timeout(500)
    table.click(position={"x": 16, "y": 35 + 35 + 17})  # the mark before the second row
    expect(page.get_by_role("heading", name="ANN")).to_be_visible()
    visitor.settle()


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_narrow_screen_nothing_reaches_beyond_its_edge(visit, width):
    visitor = look(visit("/models", width=width, touch=True, scheme="dark"), "CNN")
    page = visitor.page
    assert visitor.overflow() == []
    page.locator("[class*=st-key-look_] button:visible").first.click()
    expect(page.get_by_role("button", name="All images")).to_be_visible()
    assert visitor.settle().overflow() == []
    for view in ("Layers and settings", "Files"):
        page.locator(".st-key-model_view").get_by_text(view).click()
        assert visitor.settle().overflow() == [], view
    choose(visitor, "ANN")
    expect(page.get_by_role("heading", name="Compared")).to_be_visible()
    expect(page.get_by_text("of 400 right")).to_have_count(2)  # of the same images
    expect(page.get_by_text("How they learned")).to_be_visible()
    assert visitor.settle().overflow() == []
