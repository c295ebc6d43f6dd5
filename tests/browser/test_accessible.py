"""Every page, in every state and both themes, as axe-core judges it by WCAG 2.2 AA and its own good practice."""

from collections.abc import Callable

import pytest
from filelock import FileLock
from visitor import PHONE, Visitor, expect

pytestmark = pytest.mark.slow
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="Run `pip install axe-playwright-python`.")

# What others made: the canvas's own tools are 22.4 pixels high, not 24, and the page offers undo and clear beside them;
# Streamlit's field for files has a role that contradicts its tabindex.
NOT_OURS = {"exclude": [['[data-testid="stBidiComponentIsolated"]'], ['[data-testid="stFileUploaderDropzone"]']]}
WITH_TARGETS = {"rules": {"target-size": {"enabled": True}}}  # new in WCAG 2.2, and off in axe-core unless asked for
SCREENS = {"light": {"scheme": "light"}, "dark phone": {"scheme": "dark", **PHONE}}
Judge = Callable[[Visitor], None]


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest) -> dict[str, object]:
    return SCREENS[request.param]


@pytest.fixture
def judge() -> Judge:
    """Fail where axe-core finds something that keeps people out of what is shown."""

    def judge(visitor: Visitor) -> None:
        visitor.settle().page.wait_for_timeout(500)  # what is stale fades
        violations = axe.Axe().run(visitor.page, NOT_OURS, WITH_TARGETS).response["violations"]
        assert not violations, "\n".join(
            f"{violation['id']}: {node['html'][:200]}\n{node['failureSummary']}"
            for violation in violations
            for node in violation["nodes"]
        )

    return judge


def test_drawing_and_what_is_read_of_it(visit, handwriting, judge, screen):
    visitor = visit(**screen)
    judge(visitor)
    judge(visitor.draw(handwriting[7]).sees(7))
    for view, key in {"Which ink": "ink", "Look-alikes": "alike", "What if": "changes", "Replay": "replay"}.items():
        visitor.page.locator(".st-key-inside").get_by_text(view, exact=True).click()
        expect(visitor.page.locator(f".st-key-inside_{key} img").first).to_be_visible()
        judge(visitor)
    visitor.page.locator(".st-key-correct_1 button").click()
    expect(visitor.page.get_by_text("Logged")).to_be_visible()
    judge(visitor)
    for kind in ("Upload", "Camera"):
        visitor.page.locator(".st-key-mode").get_by_text(kind, exact=True).click()
        expect(visitor.canvas()).to_have_count(0)
        judge(visitor)


def test_training(visit, lived_in, server, keep_run, judge, screen):
    visitor = visit("/train", **screen)
    expect(visitor.page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    judge(visitor)
    for part in ("Layers", "Learning"):
        visitor.page.get_by_test_id("stExpander").get_by_text(part, exact=True).click()
    expect(visitor.page.get_by_label("Epochs", exact=True)).to_be_visible()
    judge(visitor)
    folder = keep_run("ann-busy", "queued", "started", "batch", "epoch", "batch", settings=server.settings)
    with FileLock(folder / "run.lock"):
        visitor.go("/train")
        expect(visitor.page.get_by_role("button", name="Stop")).to_be_visible()
        judge(visitor)


def test_models(visit, judge, screen):
    visitor = visit("/models", **screen)
    page = visitor.page
    field = page.locator(".st-key-looked_at input")
    expect(field).to_be_enabled()
    judge(visitor)
    for number, name in enumerate(("CNN", "ANN"), 1):
        field.click()
        page.get_by_role("option", name=name, exact=True).click()
        field.press("Escape")
        visitor.settle()
        page.locator(".st-key-exam").get_by_text("Stress drawings", exact=True).click()
        expect(page.get_by_text("of 400 right")).to_have_count(number)
        judge(visitor)
        if number == 1:
            page.locator("[class*=st-key-look_] button:visible").first.click()
            expect(page.get_by_role("button", name="All images")).to_be_visible()
            judge(visitor)
            for view in ("Layers and settings", "Files"):
                page.locator(".st-key-model_view").get_by_text(view).click()
                judge(visitor)


def test_what_people_said(visit, lived_in, judge, screen):
    visitor = visit("/feedback", **screen)
    for view in ("Statistics", "Drawings", "Doubtful", "Files"):
        judge(visitor.choose(view))
    visitor.choose("Drawings").press("Open")
    expect(visitor.page.get_by_text("CNN read 1")).to_be_visible()
    judge(visitor)


def test_the_guide(visit, judge, screen):
    judge(visit("/guide", **screen))


def test_nothing_said_yet(fresh_server, visit, judge, screen):
    visitor = visit("/feedback", fresh_server, **screen)
    judge(visitor)
    judge(visitor.go("/learn"))
    judge(visitor.go("/train"))


def test_collecting_and_learning(visit, lived_in, handwriting, judge, screen):
    visitor = visit("/collect", **screen)
    visitor.page.locator(".st-key-each input").fill("1")
    visitor.page.locator(".st-key-each input").press("Enter")
    visitor.settle()
    judge(visitor)
    for done in range(1, 11):
        asked = visitor.page.get_by_role("heading", name="Draw the digit").inner_text()
        visitor.draw(handwriting[int(asked[-1])]).keep()
        expect(visitor.page.get_by_text(f"{done} of 10 drawings")).to_be_visible()
    expect(visitor.page.get_by_text("Done: 10 drawings are kept")).to_be_visible()
    judge(visitor)
    judge(visitor.go("/learn"))


def test_the_operators_password(guarded_server, visit, keep_run, judge, screen):
    folder = keep_run("cnn-busy", "queued", "started", "batch", settings=guarded_server.settings)
    with FileLock(folder / "run.lock"):
        visitor = visit("/train", guarded_server, **screen).press("Stop")
        dialog = visitor.page.get_by_role("dialog")
        dialog.get_by_label("Password", exact=True).fill("guess")
        visitor.page.keyboard.press("Enter")
        expect(dialog.get_by_text("This is not the operator's password")).to_be_visible()
        judge(visitor)
