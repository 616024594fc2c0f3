"""`dsd-plan profile link`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say, say_json, warn

Where = Annotated[str | None, typer.Argument(metavar="HOST[:PORT]", help="Where a listener waits.")]
Listen = Annotated[bool, typer.Option("--listen", help="Be the side that answers, until Ctrl-C.")]
Host = Annotated[str, typer.Option("--host", help="With --listen: address to listen at; :: for IPv6.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="TCP and UDP port of the listener.")]
Once = Annotated[bool, typer.Option("--once", help="With --listen: end when the first client is done.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Writes the link profile here.")]
TraceOut = Annotated[
    Path | None, typer.Option("--trace-out", metavar="FILE", help="Also writes every round trip (Parquet).")
]
For = Annotated[float, typer.Option("--for", min=1.0, max=3600.0, metavar="SECONDS", help="Time of small probes.")]
Bulk = Annotated[
    float, typer.Option("--bulk", min=0.0, max=15.0, metavar="SECONDS", help="Bulk transfer each way; 0: none.")
]
Payload = Annotated[
    list[int] | None,
    typer.Option("--payload", metavar="BYTES", help="Large message sent up; repeat for more. 0: none."),
]
Synchronised = Annotated[
    bool, typer.Option("--clocks-synchronised", help="Both clocks agree far better than the delay (PTP, GPS).")
]


def run(
    where: Where = None,
    listen: Listen = False,
    host: Host = "0.0.0.0",
    port: Port = None,
    once: Once = False,
    output: Output = None,
    trace_out: TraceOut = None,
    for_s: For = 30.0,
    bulk: Bulk = 4.0,
    payload: Payload = None,
    clocks_synchronised: Synchronised = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Start it with --listen on one machine, and with that machine's HOST on the other, where requests arise.

    Its way out is `up`: a scenario takes the file as `profile` in [[links]], with the measuring site named first in
    `between`. Without synchronised clocks nobody can tell how a round trip splits into its two directions; how much
    each of them varies is measured all the same.
    """
    if listen == (where is not None):
        raise typer.BadParameter("give HOST[:PORT] to measure, or --listen to answer; one of them")
    if listen:
        if output is not None or trace_out is not None:
            raise typer.BadParameter("--listen writes no file; give -o and --trace-out on the other side")
        answer(host, port, once=once)
        return
    if where is None:  # never; tells the type checker
        return
    name, found_port = host_and_port(where, port)
    measure_link(
        name,
        found_port,
        output=output,
        trace_out=trace_out,
        for_s=for_s,
        bulk_s=bulk,
        large_bytes=None if payload is None else tuple(size for size in payload if size),
        clocks_synchronised=clocks_synchronised,
        seed=seed,
        as_json=as_json,
    )


def answer(host: str, port: int | None, *, once: bool) -> None:
    """Listen until Ctrl-C, or until the first client is done."""
    from dsd_plan.measure.link.listener import LinkListener
    from dsd_plan.measure.link.protocol import DEFAULT_PORT

    with LinkListener(host, DEFAULT_PORT if port is None else port, say) as listener:
        say(f"listening at {host}, tcp and udp port {listener.port}; whoever reaches it may measure; Ctrl-C ends")
        try:
            listener.serve(once=once)
        except KeyboardInterrupt:
            say("stopped")


def host_and_port(where: str, port: int | None) -> tuple[str, int]:
    """The two parts of HOST, HOST:PORT or [IPV6]:PORT; a bare IPv6 address has no port. Raises a usage error."""
    from dsd_plan.measure.link.protocol import DEFAULT_PORT

    host, written = where, ""
    if where.startswith("["):
        host, _, rest = where[1:].partition("]")
        written = rest.removeprefix(":")
    elif where.count(":") == 1:
        host, _, written = where.partition(":")
    if not host or (written and not (written.isascii() and written.isdigit() and 1 <= int(written) <= 65535)):
        raise typer.BadParameter(f"found {where!r}, expected HOST or HOST:PORT with a port from 1 to 65535")
    if written and port is not None and int(written) != port:
        raise typer.BadParameter(f"found port {written} in HOST and {port} in --port; keep one")
    return host, int(written) if written else DEFAULT_PORT if port is None else port


def measure_link(
    host: str,
    port: int,
    *,
    output: Path | None,
    trace_out: Path | None,
    for_s: float,
    bulk_s: float,
    large_bytes: tuple[int, ...] | None,
    clocks_synchronised: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Measure, show it, and write what is asked for."""
    from dsd_plan.cli.link_text import link_warnings, show_link
    from dsd_plan.domain.link_profile import LinkProfile
    from dsd_plan.files import write_link, write_rtt_trace
    from dsd_plan.files.documents import dumped
    from dsd_plan.measure.link.profile import LARGE_BYTES, profile_link

    if trace_out is not None and trace_out.suffix.lower() != ".parquet":
        raise typer.BadParameter(f"found {str(trace_out)!r}; traces are written as Parquet: let it end in .parquet")
    with progress("measuring") as on_progress:
        profile, trace = profile_link(
            host,
            port,
            for_s=for_s,
            bulk_s=bulk_s,
            large_bytes=LARGE_BYTES if large_bytes is None else large_bytes,
            clocks_synchronised=clocks_synchronised,
            seed=seed,
            on_progress=on_progress,
        )
    for line in link_warnings(profile):
        warn(line)
    if as_json:
        say_json(dumped(profile, LinkProfile, "link"))
    else:
        show_link("link" if output is None else str(output), profile)
        if output is None:
            say("  not kept; -o links/NAME.json writes it for a scenario's [[links]] profile")
    # Last, so that a place that cannot be written to costs the file and not what was measured.
    if output is not None:
        write_link(output, profile)
    if trace_out is not None:
        write_rtt_trace(trace_out, trace)
