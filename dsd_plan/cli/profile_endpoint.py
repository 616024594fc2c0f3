"""`dsd-plan profile endpoint`."""

from __future__ import annotations

import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say_json, warn
from dsd_plan.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from dsd_plan.measure.endpoint.plan import EndpointRun


class ApiName(StrEnum):
    """Which of a server's interfaces is asked."""

    AUTO = "auto"
    COMPLETIONS = "completions"
    CHAT = "chat"


Url = Annotated[str, typer.Argument(metavar="URL", help="The server's address, with or without /v1.")]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Writes FOLDER/DEVICE/MODEL.json.")]
DeviceName = Annotated[str, typer.Option("--device", metavar="DEVICE", help="What to call the device behind it.")]
Model = Annotated[str | None, typer.Option("--model", help="The server's name of the model, if it serves several.")]
SaveAs = Annotated[str | None, typer.Option("--save-as", metavar="MODEL", help="What to call the model instead.")]
Api = Annotated[ApiName, typer.Option("--api", help="auto: completions, else chat.")]
KeyEnv = Annotated[
    str | None, typer.Option("--api-key-env", metavar="NAME", help="Environment variable that holds the API key.")
]
Concurrency = Annotated[str, typer.Option("--concurrency", metavar="N,N,…", help="Streams at a time.")]
Contexts = Annotated[str, typer.Option("--contexts", metavar="N,N,…", help="Prompt tokens under decode steps.")]
PromptLengths = Annotated[str, typer.Option("--prompts", metavar="N,N,…", help="Prompt tokens of idle TTFT.")]
OutputTokens = Annotated[int, typer.Option("--output-tokens", min=8, help="Tokens of an answer.")]
InjectTokens = Annotated[int, typer.Option("--inject-tokens", min=1, help="Prompt put between decoding streams.")]
OpenRequests = Annotated[int, typer.Option("--open-requests", min=0, help="Requests of the open run, the check.")]
Rounds = Annotated[
    int, typer.Option("--rounds", min=1, help="Most visits to each level; fewer where its median is known within 3 %.")
]
BudgetS = Annotated[float, typer.Option("--budget-s", min=1.0, help="Seconds to spend; twice as many at most.")]
RequestTimeoutS = Annotated[float, typer.Option("--request-timeout-s", min=0.1, help="Longest time of one answer.")]
StallS = Annotated[float, typer.Option("--stall-s", min=0.1, help="Longest silence of a stream.")]
TokensPerWord = Annotated[
    float | None, typer.Option("--tokens-per-word", min=0.01, help="For servers that do not report usage.")
]
KeepUrl = Annotated[bool, typer.Option("--keep-url", help="Write the address into the profile.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was broken off.")]


def run(
    url: Url,
    output: Folder = Path("profiles"),
    device: DeviceName = "endpoint",
    model: Model = None,
    save_as: SaveAs = None,
    api: Api = ApiName.AUTO,
    api_key_env: KeyEnv = None,
    concurrency: Concurrency = "2,8,32",
    contexts: Contexts = "256,4096",
    prompts: PromptLengths = "128,512,1024,2048,4096,8192",
    output_tokens: OutputTokens = 64,
    inject_tokens: InjectTokens = 2048,
    open_requests: OpenRequests = 60,
    rounds: Rounds = 5,
    budget_s: BudgetS = 300.0,
    request_timeout_s: RequestTimeoutS = 120.0,
    stall_s: StallS = 30.0,
    tokens_per_word: TokensPerWord = None,
    keep_url: KeepUrl = False,
    resume: Resume = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Times the answers of an OpenAI-compatible server (vLLM, SGLang, llama-server, …) and fits its step law.

    Nothing else may use the server meanwhile. It should not speculate, and should take `ignore_eos`. A run that
    breaks off leaves FOLDER/DEVICE/MODEL.partial.json, and --resume goes on with it.
    """
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.files import write_profile
    from dsd_plan.measure.endpoint.plan import EndpointSettings
    from dsd_plan.measure.endpoint.run_all import profile_endpoint

    settings = EndpointSettings(
        contexts=whole_numbers("--contexts", contexts),
        prompts=whole_numbers("--prompts", prompts),
        concurrencies=whole_numbers("--concurrency", concurrency),
        output_tokens=output_tokens,
        inject_tokens=inject_tokens,
        open_requests=open_requests,
        rounds=rounds,
        budget_s=budget_s,
        request_timeout_s=request_timeout_s,
        stall_s=stall_s,
        seed=seed,
        tokens_per_word=tokens_per_word,
        api=api.value,
    )
    partial = Partial(output / device, save_as, resume)
    try:
        with progress("measuring") as on_progress:
            made = profile_endpoint(
                url,
                settings,
                device=device,
                model=model,
                save_as=save_as,
                api_key=key_of(api_key_env),
                keep_url=keep_url,
                salt=secrets.randbits(32),
                before=partial.before,
                keep=partial.keep,
                on_progress=on_progress,
            )
    except (MeasurementError, KeyboardInterrupt):
        if partial.kept:
            warn(f"what was measured so far is in {partial.path}; repeat the command with --resume to go on")
        raise
    path = partial.path.with_name(f"{made.profile.model}.json")
    write_profile(path, made.profile)
    partial.path.unlink(missing_ok=True)
    for text in made.warnings:
        warn(text)
    told = describe_profile(str(path), made.profile)
    if as_json:
        say_json({"profiles": [told], "warnings": list(made.warnings)})
    else:
        show_profile(told)


class Partial:
    """The file beside the profile that holds an unfinished run."""

    def __init__(self, folder: Path, save_as: str | None, resume: bool) -> None:
        self.kept = False
        self.path = folder
        self._folder = folder
        self._save_as = save_as
        self._resume = resume

    def before(self, model: str) -> EndpointRun | None:
        """The run to go on with, now that the model's name is known. Raises InputError where it is unclear."""
        from dsd_plan.files.documents import document_of
        from dsd_plan.files.reading import read_file
        from dsd_plan.measure.endpoint.plan import EndpointRun, file_name

        self.path = self._folder / f"{self._save_as or file_name(model)}.partial.json"
        if not self._resume:
            if self.path.exists():
                raise InputError(str(self.path), "holds a run that was broken off; add --resume, or delete it")
            return None
        if not self.path.exists():
            raise InputError(str(self.path), "no such file, so that there is nothing to resume; leave --resume out")
        return document_of(read_file(self.path, InputError), EndpointRun, "endpointrun", InputError)

    def keep(self, measured: EndpointRun) -> None:
        """Write the run down."""
        import json

        from dsd_plan.files.documents import dumped
        from dsd_plan.files.writing import write_whole
        from dsd_plan.measure.endpoint.plan import EndpointRun

        body = json.dumps(dumped(measured, EndpointRun, "endpointrun"), separators=(",", ":"))
        write_whole(self.path, body.encode("utf-8"))
        self.kept = True


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """`2,8,32` as numbers in rising order. Raises InputError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and 0 < int(part) < 10**7 for part in parts):
        raise InputError(option, f"found {text!r}, expected whole numbers above 0 like 2,8,32")
    return tuple(sorted({int(part) for part in parts}))


def key_of(name: str | None) -> str | None:
    """The API key in an environment variable. Raises InputError where there is none; never tells the key."""
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise InputError("--api-key-env", f"the environment variable {name} is not set, or empty; set it to the key")
    if not key.isascii() or not key.isprintable():
        raise InputError("--api-key-env", f"{name} holds characters that no HTTP header can carry; set it again")
    return key
