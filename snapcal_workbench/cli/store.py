"""Commands about saved versions: versions, show, retire, unretire, verify, repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snapcal_workbench.cli.common import AsJson, user_name
from snapcal_workbench.cli.console import note, say, say_fields, show_json, show_table, step
from snapcal_workbench.errors import StoreError

if TYPE_CHECKING:
    from snapcal_workbench.formats.index import IndexEntry
    from snapcal_workbench.progress import Progress
    from snapcal_workbench.store.state_store import StateStore
    from snapcal_workbench.store.upkeep.repair import Action
    from snapcal_workbench.store.upkeep.verify import Finding

Version = Annotated[str, typer.Argument(help="STATE/N or RUN:N, with 'lite/' or 'native/' before it where needed")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Check that no file was changed since")]


def versions(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run (number, range as 58882-58885, or file), or a state id")],
    native: Annotated[bool, typer.Option("--native", help="Versions for native pixels instead of lite ones")] = False,
    as_json: AsJson = False,
) -> None:
    """List the versions of a run's state, and say which one applies to the run."""
    from snapcal_workbench.instrument.known import requested_mode
    from snapcal_workbench.store.listing import list_versions

    settings = context.obj.load()
    found = list_versions(settings, run, requested_mode(settings, not native))
    if as_json:
        show_json(found)
        return
    rows = [
        (
            f"{entry['version']}{' *' if entry['version'] == found['applies'] else ''}",
            entry["mode"],
            entry["runNumber"],
            entry["appliesTo"],
            entry["author"],
            entry["timestamp"][:16],
            entry["comments"] or "",
            entry["retired"] or "",
        )
        for entry in found["versions"]
    ]
    columns = ["version", "mode", "run", "applies to", "author", "saved", "comments", "retired"]
    chosen = f" (* applies to run {run})" if found["applies"] is not None else ""
    show_table(f"Versions of state {found['stateId']}{chosen}", columns, rows)
    for problem in found["problems"]:
        note(f"Warning: {problem}")


def show(context: typer.Context, version: Version, verify: Verify = True, as_json: AsJson = False) -> None:
    """Show everything that is known of a version."""
    from snapcal_workbench.store.references import open_version

    found = open_version(context.obj.load(), version, verify=verify).describe()
    if as_json:
        show_json(found)
        return
    _show_description(found)


def _verdict(found: dict[str, Any]) -> str:
    """What is to be thought of it, with the reasons; of a propagated version where it comes from and what that adds."""
    from snapcal_workbench.facility.states import verdict_of

    word, text = verdict_of(found)
    if not word:
        return "none is recorded"
    return text if word == "propagated" else f"{word}. {text}".strip()


def _show_description(found: dict[str, Any]) -> None:
    entry = found["entry"]
    masked = ", ".join(f"{count} {reason}" for reason, count in found["masked"].items())
    own = ("stateId", "mode", "version", "path", "pixels", "writtenBy", "snapredVersion")
    of_entry = ("runNumber", "appliesTo", "author", "timestamp", "comments")
    fields = [(name, found[name]) for name in own] + [(name, entry.get(name)) for name in of_entry]
    say_fields([*fields, ("masked", masked or "none"), ("verdict", _verdict(found))], width=15)
    rows = [
        (f"{m['group']}", m["twoTheta"], m["sigma"], m["strainPpm"], m["strainStdPpm"]) for m in found["groups"] or ()
    ]
    if rows:
        show_table("Groups", ["group", "2theta", "sigma/d", "strain (ppm)", "strain std (ppm)"], rows)
    say_fields([("file", name) for name in found["files"] or {}], width=15)
    for text in found["notes"]:
        note(f"Warning: {text}. `snapcal repair --adopt` lets it count as it is.")


def retire(
    context: typer.Context,
    version: Version,
    reason: Annotated[str, typer.Option(help="Why it should not be used any more")],
    author: Annotated[str, typer.Option(help="Who retires it; default: the login name")] = "",
    as_json: AsJson = False,
) -> None:
    """Take a version out of the choice; it stays on disk, unchanged."""

    def retire_it(store: StateStore, number: int, progress: Progress) -> IndexEntry:
        return store.retire(number, reason, author or user_name(), progress)

    _retirement(context, version, retire_it, as_json)


def unretire(
    context: typer.Context,
    version: Version,
    reason: Annotated[str, typer.Option(help="Why it may be used again")],
    applies_to: Annotated[str, typer.Option(help="Runs it applies to; default: those of before")] = "",
    author: Annotated[str, typer.Option(help="Who brings it back; default: the login name")] = "",
    as_json: AsJson = False,
) -> None:
    """Bring a retired version back into the choice."""

    def bring_back(store: StateStore, number: int, progress: Progress) -> IndexEntry:
        return store.unretire(number, reason, author or user_name(), progress, applies_to=applies_to or None)

    _retirement(context, version, bring_back, as_json)


def _retirement(
    context: typer.Context, version: str, change: Callable[[StateStore, int, Progress], IndexEntry], as_json: bool
) -> None:
    from snapcal_workbench.store.effect import told_of_reassigned
    from snapcal_workbench.store.references import locate

    store, number = locate(context.obj.load(), version)
    before = store.entries()
    with step("Changing the index", quiet=True) as progress:
        entry = change(store, number, progress)
    told = told_of_reassigned(store.reassigned(before), number)
    if as_json:
        show_json({**entry.to_json(), "effect": told})
    else:
        done = "retired: it applies to no run" if entry.is_retired else f"back: it applies to {entry.applies_to}"
        say(f"Version {number} of state {store.state_id} is {done}.")
        say("\n".join(told))


def verify(
    context: typer.Context,
    state: Annotated[str, typer.Argument(help="A state id; default: the whole tree")] = "",
    as_json: AsJson = False,
) -> None:
    """List everything that is wrong in a tree of calibrations; exit code 6 when something is."""
    from snapcal_workbench.store.upkeep.verify import verify_tree

    with step("Verifying", quiet=as_json) as progress:
        findings = verify_tree(context.obj.load(), state or None, progress)
    if as_json:
        show_json([{"path": str(finding.path), "message": finding.message} for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.path}: {finding.message}")
        say(_what_to_do(findings))
    if findings:
        raise typer.Exit(StoreError.exit_code)


def _what_to_do(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing is wrong."
    count = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    advice = "`snapcal repair` shows what can be put right."
    if any(finding.is_adoptable for finding in findings):
        advice += " `snapcal repair --adopt` lets records count as others have rewritten them."
    return f"{count}. {advice}"


def repair(
    context: typer.Context,
    state: Annotated[str, typer.Argument(help="A state id; default: the whole tree")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do it, after a backup; else only show it")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Let records count as others have rewritten them")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what would put a tree right, or with --apply do it after a backup."""
    from snapcal_workbench.store.upkeep.repair import repair as repair_tree

    with step("Repairing", quiet=as_json) as progress:
        actions = repair_tree(context.obj.load(), state or None, apply=apply, adopt=adopt, progress=progress)
    if as_json:
        show_json([{**asdict(action), "path": str(action.path)} for action in actions])
    else:
        _show_actions(actions, apply, adopt)
    if any(action.why_not for action in actions):
        raise typer.Exit(StoreError.exit_code)


def _show_actions(actions: list[Action], apply: bool, adopt: bool) -> None:
    for action in actions:
        word = "done" if action.done else "could not do" if action.why_not else "would do"
        say(f"{word}: {action.path}: {action.what}")
        if action.why_not:
            say(f"    {action.why_not}")
    if not actions:
        say("Nothing is to be repaired." + ("" if adopt else " What others have rewritten, --adopt lets count."))
    elif not apply:
        say("Nothing was changed. Repeat with --apply to do it.")


COMMANDS = {
    "versions": versions,
    "show": show,
    "retire": retire,
    "unretire": unretire,
    "verify": verify,
    "repair": repair,
}
