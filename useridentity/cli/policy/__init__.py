"""`useridentity policy check|explain|test|schema|unproved`: what a policy says, decides and still lets in.

Only `check` opens the files that a policy names. The others need the policy file alone, so that they run where
there is no keytab and no key: in the version control's CI, on an administrator's notebook.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from useridentity.cli.policy.output import as_json, say
from useridentity.errors import ConfigurationError

FAILED = 11
"""Exit code of `policy test`: what the policy decides is not what was expected."""

MAX_LINE = 1024 * 1024
"""Characters of a log that are read at once: many times a decision's line, and what a crash left may have no end."""

app = typer.Typer(help="See what a policy says and decides.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The policy file.")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")]


@app.command("check")
def check(file: File, json: Json = False) -> None:
    """Say in plain English what a policy means, or everything that is wrong with it.

    Opens what the policy names, as a server would: run it where the server runs.
    """
    from useridentity.cli.policy.checking import plain, show, warnings
    from useridentity.policy import Policy

    policy = Policy.load(file)
    today = datetime.now(UTC).date()
    if json:
        print(as_json(plain(policy, today)))
        return
    show(file, policy)
    for warning in warnings(policy, today):
        say(warning, "warning: ")


@app.command("explain")
def explain(
    file: File,
    calling: Annotated[str, typer.Option(metavar="AE", help="The calling AE title.")],
    called: Annotated[str, typer.Option(metavar="AE", help="The called AE title.")],
    peer: Annotated[str, typer.Option(metavar="ADDRESS", help="The requestor's address.")],
    tls: Annotated[str, typer.Option(metavar="none|server|mutual")] = "none",
    identity: Annotated[
        str, typer.Option(metavar="TYPE", help="What is sent: none, username, passcode, kerberos, saml or jwt.")
    ] = "none",
    credential: Annotated[str, typer.Option(metavar="good|bad", help="Whether the validators verify it.")] = "good",
    validator: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="One that verifies; left out, all that are asked.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="A local group of whoever is verified.")] = None,
    claim: Annotated[list[str] | None, typer.Option(metavar="PATH=VALUE", help="A claim of theirs.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(metavar="CODE", help="A purpose of use they state.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="person|node|service")] = None,
    context: Annotated[
        list[str] | None, typer.Option(metavar="SOP-CLASS[:scp|:both]", help="A presentation context proposed.")
    ] = None,
    on: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day; left out, today.")] = None,
    json: Json = False,
) -> None:
    """Show which rules decide about an association, why those before them do not, and what it may do.

    No credential is involved: it is supposed to be good, unless --credential bad or --validator say otherwise.
    --validator, --group, --claim, --purpose and --context may be repeated.
    """
    from useridentity.cli.policy import explaining, supposed
    from useridentity.cli.policy.options import supposed_of
    from useridentity.policy.explain import explain as explained

    given = {
        "calling": calling, "called": called, "peer": peer, "tls": tls, "identity": identity, "credential": credential,
        "validator": validator, "groups": group, "claims": claim, "purpose": purpose, "kind": kind,
        "contexts": context, "on": on,
    }  # fmt: skip
    policy = supposed.load(file)
    found = explained(policy, supposed_of(given, policy), datetime.now(UTC))
    if json:
        print(as_json(explaining.plain(found)))
    else:
        explaining.show(found, authorizes=bool(policy.grants))


@app.command("test")
def compare(
    file: File,
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="A TOML file of [[case]]s: see docs/policy-tools.md.")],
    json: Json = False,
) -> None:
    """Compare what a policy decides with what is expected of it; exit code 11 where they differ.

    No credential is involved: it is supposed to be good, unless a case says otherwise.
    """
    from useridentity.cli.policy import supposed
    from useridentity.cli.policy.cases import read
    from useridentity.cli.policy.testing import plain, run_all, show

    policy = supposed.load(file)
    results = run_all(read(cases, policy), policy, datetime.now(UTC))
    if json:
        print(as_json(plain(results)))
    else:
        show(cases, results)
    if any(result.failures for result in results):
        raise typer.Exit(FAILED)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of policy files, for editors; installed mechanisms of other packages included."""
    from useridentity.cli.policy.schema import installed

    print(as_json(installed()))


@app.command("unproved")
def unproved(
    log: Annotated[str, typer.Argument(metavar="LOG", help="A log of the acceptor; - is standard input.")],
    json: Json = False,
) -> None:
    """List who was let in without an identity, from the log lines of the acceptor's decisions."""
    from useridentity.cli.policy.unproved import plain, report, show

    try:
        with open(0 if log == "-" else log, encoding="utf-8", errors="replace") as lines:
            found = report(iter(lambda: lines.readline(MAX_LINE), ""))
    except OSError as error:
        raise ConfigurationError(f"{log}: {error.strerror}") from None
    if json:
        print(as_json(plain(found)))
    else:
        show(found)
