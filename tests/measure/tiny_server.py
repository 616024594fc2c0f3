"""`transformers serve` on the loopback, with a tiny model and tokenizer of our own making."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def missing_serving() -> str | None:
    """Why `transformers serve` cannot run here, or None."""
    parts = ("transformers", "tokenizers", "fastapi", "uvicorn", "openai")
    missing = [part for part in parts if importlib.util.find_spec(part) is None]
    return f"needs {', '.join(missing)}: pip install 'dsd-plan[serving]'" if missing else None


def make_model(folder: Path) -> None:
    """Two layers of random weights, and a tokenizer all of whose tokens are printable: else nothing streams."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = [*(chr(code) for code in range(33, 127)), " ", *(c + v for c in CONSONANTS for v in VOWELS)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{CONSONANTS}][{VOWELS}]|."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(pieces),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of the model in ``folder``, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--continuous-batching"]
    # Left to itself the server fills most of the memory with cache.
    options += ["--cb-num-blocks", "512", "--cb-max-batch-tokens", "2048"]
    log = folder / "server.log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    with log.open("wb") as out:
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", *options]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        until_s = time.monotonic() + 90.0
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > until_s:
                pytest.fail(f"transformers serve did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
