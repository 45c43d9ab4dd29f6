"""What comes before a screen is laid out, or while it is taken down, harms nobody: on a busy machine both happen."""

from tests.ui_driving import looped, recorded_app
from velox_tui.screens.choose import ChooseScreen
from velox_tui.screens.start import StartScreen


@looped
async def test_a_screen_whose_parts_have_gone_is_still_painted_and_steered(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        for panel in ui.screen.panels.values():
            await panel.remove()
        await ui.screen.status.remove()
        await ui.screen.key_line.remove()
        ui.screen.paint(True)
        ui.screen.tick()
        ui.screen.lay_out(80, 24)
        ui.screen.paint_keys()
        ui.screen.change_look(layout="depth")
        ui.screen.action_page(1)
        ui.screen.action_zoom()
        ui.screen.note("warning", "still there", notice=True)
        await ui.pilot.pause()
        assert ui.app._exception is None
        assert ui.app.is_running


@looped
async def test_what_waits_for_the_next_picture_is_no_error_at_the_end(monkeypatch):
    painted = []
    async with recorded_app(monkeypatch) as ui:
        screen = ui.screen
        leave = screen.status._message_loop_exit

        async def left():
            await leave()
            # as where the screen's own loop still runs, without what it is made of
            assert screen.status not in screen.children
            screen._callbacks.append((lambda: painted.append(screen.paint(True)), screen))
            await screen._invoke_and_clear_callbacks()

        monkeypatch.setattr(screen.status, "_message_loop_exit", left)
        ui.app.exit()
    assert painted
    assert ui.app.return_code in (0, None)


@looped
async def test_progress_is_told_before_there_is_anything_to_show_it(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        early = StartScreen(False)
        early.show("compiling", 1, 6)
        await ui.app.push_screen(early)
        await ui.pilot.pause()
        assert "1/6" in str(early.query_one("#start-progress").render())


@looped
async def test_a_list_of_engines_is_looked_at_once_more_after_its_end(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        found = []
        choose = ChooseScreen(lambda: list(found), print)
        await ui.app.push_screen(choose)
        await ui.pilot.pause()
        await choose.remove_children()
        choose._shown = ["other"]
        choose._list()
        await ui.pilot.pause()
        assert ui.app._exception is None
