"""The walkthrough, told once: what each command said, and the workspace it left."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from launch.desk import Said, inside, launchday, must

APPROVERS = (
    "t.fernsby",
    "m.larkwood",
    "r.pebblecombe",
    "p.brackenhythe",
    "c.wolderly",
    "f.downmere",
    "n.ashpenny",
    "v.lindenhay",
)


@dataclass
class Story:
    """`said` by name; `root` is the workspace after the launch."""

    root: Path
    said: dict[str, Said] = field(default_factory=dict)


def tell(root: Path) -> Story:
    """Check, plan, queue, be refused, approve, change a figure, approve again, launch, look."""
    told = Story(root)

    def say(name: str, *arguments: str) -> None:
        told.said[name] = inside(root, *arguments)

    say("check", "check")
    say("plan", "plan", "--json")
    say("queue", "queue", "--yes", "--as", "j.doyle", "--json")
    say("author", "approve", "--org", "dorset", "--as", "j.doyle")
    say("another organisation", "approve", "--org", "dorset", "--as", "r.pebblecombe")
    say("stranger", "approve", "--org", "dorset")
    for person in APPROVERS:
        say(person, "approve", "--as", person, "--note", "Read and checked", "--json")
    say("approved", "list", "--json")
    figures = root / "posts/stop-it-now-south-west/figures.csv"
    figures.write_text(figures.read_text("utf-8").replace("dorset,285,", "dorset,286,"), "utf-8")
    say("plan of the change", "plan", "--json")
    say("plan of the change, for people", "plan")
    say("queue of the change", "queue", "--yes", "--as", "j.doyle", "--json")
    say("after the change", "list", "--json")
    for person in ("p.brackenhythe", "n.ashpenny"):
        must(root, "approve", "launch", "--org", "dorset", "--as", person)
    told.said["launch"] = launchday(root, "run", "--once", "--launch-in", "9s")
    return told
