"""The emulator's saves on disk are consistent after a crash at any moment and the next start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.laptop import emulator_state
from tools.laptop.emulator_state import Folders, Journal


class Emulator:
    """The file operations of the emulator: changes of objects, and saves under a number."""

    def __init__(self, home: Path) -> None:
        self.folders = Folders(home)
        self.found = emulator_state.recover(self.folders)
        self.number = emulator_state.current(self.folders)
        self._journal = Journal(self.folders, self.number)

    @property
    def state(self) -> str | None:
        """Return the saved state that ministack reads when it starts, or None if there is none."""
        file = self.folders.state / "dynamodb.json"
        return file.read_text() if file.exists() else None

    @property
    def objects(self) -> dict[str, str]:
        files = [path for path in self.folders.objects.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folders.objects)): path.read_text() for path in files}

    def put(self, name: str, content: str) -> None:
        path = self.folders.objects / name
        self._journal.before_change(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(content)
        unfinished.replace(path)

    def delete(self, name: str) -> None:
        self._journal.before_change(self.folders.objects / name)
        (self.folders.objects / name).unlink()

    def event(self, name: str) -> None:
        self.folders.events.mkdir(parents=True, exist_ok=True)
        (self.folders.events / name).touch()

    def begin_save(self, state: str) -> None:
        self.number += 1
        self._journal.start(self.number)
        events = emulator_state.unsaved_events(self.folders)
        folder = emulator_state.begin(self.folders, self.number)
        emulator_state.write(folder / "dynamodb.json", state.encode())
        emulator_state.write_event_names(folder, events)

    def save(self, state: str) -> None:
        self.begin_save(state)
        emulator_state.commit(self.folders, self.number)

    def stop(self, state: str) -> None:
        self.save(state)
        emulator_state.mark_clean_stop(self.folders)


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    return Emulator(tmp_path)


def restarted(emulator: Emulator) -> Emulator:
    return Emulator(emulator.folders.home)


def test_first_start_is_empty(emulator: Emulator) -> None:
    assert (emulator.found, emulator.state, emulator.objects) == (None, None, {})


def test_stop_keeps_everything(emulator: Emulator) -> None:
    emulator.put("bucket/a", "1")
    emulator.event("1.json")
    emulator.stop("one item")

    again = restarted(emulator)

    assert (again.found, again.state, again.objects) == (None, "one item", {"bucket/a": "1"})
    assert emulator_state.unsaved_events(again.folders) == ["1.json"]


def test_crash_restores_the_last_save(emulator: Emulator) -> None:
    emulator.put("bucket/changed", "old")
    emulator.put("bucket/deleted", "old")
    emulator.put("bucket/again", "old")
    emulator.save("saved")
    emulator.put("bucket/changed", "new")
    emulator.put("bucket/changed", "newer")
    emulator.delete("bucket/deleted")
    emulator.delete("bucket/again")
    emulator.put("bucket/again", "new")
    emulator.put("new/created", "new")
    emulator.event("late.json")

    again = restarted(emulator)

    assert again.found is not None
    assert "ended without saving" in again.found
    assert "including 4 changes of objects" in again.found
    assert again.state == "saved"
    assert again.objects == {"bucket/changed": "old", "bucket/deleted": "old", "bucket/again": "old"}
    assert emulator_state.unsaved_events(again.folders) == []


def test_crash_before_the_first_save_starts_empty(emulator: Emulator) -> None:
    emulator.put("bucket/a", "1")

    again = restarted(emulator)

    assert again.found == "The emulator ended before its first save: it starts empty."
    assert (again.state, again.objects) == (None, {})


def test_incomplete_save_is_ignored(emulator: Emulator) -> None:
    emulator.put("bucket/a", "1")
    emulator.save("saved")
    emulator.put("bucket/a", "2")
    emulator.put("bucket/b", "2")
    emulator.begin_save("half")
    emulator.put("bucket/a", "3")
    emulator.delete("bucket/b")

    again = restarted(emulator)

    assert (again.state, again.objects) == ("saved", {"bucket/a": "1"})


def test_crash_right_after_a_save_keeps_it(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.put("bucket/a", "1")
    emulator.save("first")
    emulator.put("bucket/a", "2")
    emulator.put("bucket/b", "2")
    emulator.begin_save("second")
    with monkeypatch.context() as crash:
        crash.setattr(emulator_state, "_remove_older", lambda *_: None)
        emulator_state.commit(emulator.folders, emulator.number)

    again = restarted(emulator)

    assert (again.state, again.objects) == ("second", {"bucket/a": "2", "bucket/b": "2"})


def test_save_after_a_failed_one_is_complete(emulator: Emulator) -> None:
    emulator.save("first")
    emulator.put("bucket/a", "1")
    emulator.begin_save("failed")
    emulator.put("bucket/b", "2")
    emulator.save("third")
    emulator.put("bucket/b", "3")

    again = restarted(emulator)

    assert (again.state, again.objects) == ("third", {"bucket/a": "1", "bucket/b": "2"})


def test_recovery_may_be_interrupted(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.put("bucket/a", "1")
    emulator.save("saved")
    emulator.delete("bucket/a")
    emulator.begin_save("half")
    emulator.put("bucket/a", "2")
    emulator.put("bucket/b", "2")
    undone: list[Path] = []

    def fail_at(step: int) -> None:
        def undo_or_fail(folders: Folders, undo: Path, real: object = emulator_state._undo) -> int:
            if len(undone) == step:
                raise KeyboardInterrupt
            undone.append(undo)
            return real(folders, undo)  # type: ignore[operator]

        monkeypatch.setattr(emulator_state, "_undo", undo_or_fail)
        with pytest.raises(KeyboardInterrupt):
            restarted(emulator)
        monkeypatch.undo()

    fail_at(0)
    fail_at(1)
    again = restarted(emulator)

    assert (again.state, again.objects) == ("saved", {"bucket/a": "1"})
    assert "ended without saving" in (again.found or "")


def test_incomplete_last_journal_line_is_ignored(emulator: Emulator) -> None:
    emulator.save("saved")
    emulator.put("bucket/a", "1")
    journal = emulator.folders.undo_folder(emulator.number) / "journal"
    journal.write_text(journal.read_text() + '{"path": "bucket/b", "ke')

    assert restarted(emulator).objects == {}


def test_old_saves_are_deleted(emulator: Emulator) -> None:
    for number in range(5):
        emulator.put("bucket/a", str(number))
        emulator.save(str(number))

    assert [path.name for path in emulator.folders.saves.iterdir() if path.is_dir()] == [str(emulator.number)]
    assert [path.name for path in emulator.folders.undo_folder(0).parent.iterdir()] == [str(emulator.number)]


def test_unchanged_states_are_kept(emulator: Emulator) -> None:
    emulator.begin_save("first")
    emulator_state.write(emulator.folders.save_folder(emulator.number) / "sqs.json", b"queue")
    emulator_state.commit(emulator.folders, emulator.number)
    emulator.stop("second")

    again = restarted(emulator)

    assert (again.state, (again.folders.state / "sqs.json").read_text()) == ("second", "queue")


def test_file_system_without_hard_links_works(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(_: object, __: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", link)
    emulator.put("bucket/a", "1")
    emulator.save("saved")
    emulator.put("bucket/a", "2")

    assert restarted(emulator).objects == {"bucket/a": "1"}


class TestStateWithoutSaves:
    def test_it_becomes_the_first_save(self, tmp_path: Path) -> None:
        (tmp_path / "state" / "events").mkdir(parents=True)
        (tmp_path / "state" / "dynamodb.json").write_text("items")
        (tmp_path / "state" / "events" / "1.json").write_text(json.dumps({}))
        (tmp_path / "s3" / "bucket").mkdir(parents=True)
        (tmp_path / "s3" / "bucket" / "a").write_text("1")

        taken = Emulator(tmp_path)

        assert (taken.found, taken.state, taken.objects) == (None, "items", {"bucket/a": "1"})
        assert emulator_state.unsaved_events(restarted(taken).folders) == ["1.json"]

    def test_objects_without_a_state_are_set_aside(self, tmp_path: Path) -> None:
        (tmp_path / "s3" / "bucket").mkdir(parents=True)
        (tmp_path / "s3" / "bucket" / "a").write_text("1")

        taken = Emulator(tmp_path)

        (aside,) = tmp_path.glob("s3-unsaved-*")
        assert str(aside) in (taken.found or "")
        assert taken.objects == {}
        assert (aside / "bucket" / "a").read_text() == "1"
