"""Where a step writes, and what the kubelet has put there before it."""

from pathlib import Path, PurePosixPath

import pytest

from modelops.steps.context import Outputs
from tests.golden.workflows import rendered


@pytest.mark.parametrize("name", sorted(rendered()))
def test_the_mounted_message_makes_no_directory_in_the_scratch(name: str) -> None:
    """A kubelet makes the directories above the message's file as root; no step could write its result there."""
    for template in rendered()[name]["spec"]["templates"]:
        if container := template.get("container"):
            mounts = [PurePosixPath(mount["mountPath"]) for mount in container["volumeMounts"]]
            assert PurePosixPath(container["terminationMessagePath"]).parent in mounts, template["name"]


def test_result_can_be_written_beside_a_message_that_is_there_already(tmp_path: Path) -> None:
    """The message's file is there before the step; it is written in place, never replaced."""
    (tmp_path / "tmp").mkdir()
    message = tmp_path / "tmp" / "modelops-message"
    message.touch()
    before = message.stat().st_ino
    outputs = Outputs(tmp_path)

    outputs.clear()
    outputs.reserve_message()
    outputs.write_message("one line")
    outputs.write("result.json", "{}")

    assert message.read_text() == "one line"
    assert message.stat().st_ino == before
    assert (tmp_path / "tmp" / "modelops" / "result.json").read_text() == "{}"


def test_what_was_left_in_the_messages_place_is_not_followed(tmp_path: Path) -> None:
    """A container before this one, which runs a team's code, may have left a link there."""
    (tmp_path / "tmp").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "tmp" / "modelops-message").symlink_to(victim)
    outputs = Outputs(tmp_path)

    outputs.clear()
    outputs.reserve_message()
    outputs.write_message("one line")

    assert victim.read_text() == "kept"
