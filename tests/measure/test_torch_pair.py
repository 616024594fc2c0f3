"""Local models of transformers: speculation on them is lossless, and scoring them gives the same bits."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.acceptance import TokenTrace
from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.acceptance.drafts import load_drafts
from dsd_plan.measure.acceptance.logs import CompletionLog
from dsd_plan.measure.acceptance.prompt_file import read_prompts
from dsd_plan.measure.acceptance.record import Asked, record
from dsd_plan.measure.acceptance.score import score_all
from dsd_plan.pair.sampling import SeededChance, distribution
from dsd_plan.pair.speculate import decode, speculate_argmax, speculate_sampled

pytestmark = pytest.mark.torch

WORDS = ("<s>", "</s>", *"abcdefghijklmnopqrst", " ")
PROMPTS = [(2, 3, 4), (5,), (6, 7, 8, 9, 10)]


def write_model(folder: Path, seed: int, words: tuple[str, ...] = WORDS, noise: float = 0.0, rows: int = 32) -> Path:
    """A tiny model; the same seed with noise is a draft that mostly agrees. ``rows`` pads the vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", behavior="isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="a", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed + 1)
        for weight in model.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator)
    model.resize_token_embeddings(rows)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return write_model(root / "large", 1), write_model(root / "small", 1, noise=0.12, rows=40)


@pytest.fixture(scope="module")
def pair(folders: tuple[Path, Path]) -> Any:
    from dsd_plan.measure.acceptance.torch_pair import torch_pair

    return torch_pair(*folders)


def chance_of(count: int, seed: int = 0) -> SeededChance:
    return SeededChance(np.random.default_rng(seed).spawn(count))


@pytest.mark.parametrize("run", [speculate_argmax, speculate_sampled])
@pytest.mark.parametrize("candidates", [1, 3])
def test_at_temperature_zero_it_is_greedy_decoding(pair: Any, run: Any, candidates: int) -> None:
    plain = decode(pair.target, PROMPTS, output_tokens=20, chance=chance_of(3), temperature=0.0)
    options = {"window": 3, "output_tokens": 20, "chance": chance_of(3), "temperature": 0.0}
    outputs = run(pair.target, pair.draft, PROMPTS, candidates=candidates, **options)
    assert [output.tokens for output in outputs] == list(plain)
    assert sum(done.accepted for output in outputs for done in output.rounds) > 0


def test_a_batch_with_holes_says_what_each_request_says_alone(pair: Any) -> None:
    options = {"window": 3, "output_tokens": 20}
    seeds = [np.random.default_rng(seed) for seed in range(3)]
    together = speculate_argmax(pair.target, pair.draft, PROMPTS, chance=SeededChance(seeds), **options)
    for seed, (prompt, output) in enumerate(zip(PROMPTS, together, strict=True)):
        own = SeededChance([np.random.default_rng(seed)])
        (alone,) = speculate_argmax(pair.target, pair.draft, [prompt], chance=own, **options)
        assert alone.tokens == output.tokens
        assert alone.matches == output.matches


@pytest.mark.parametrize(("run", "candidates"), [(speculate_argmax, 1), (speculate_sampled, 1), (speculate_sampled, 2)])
def test_the_output_follows_the_targets_distribution(pair: Any, run: Any, candidates: int) -> None:
    """Chi-square of 1,500 pairs of tokens against their probabilities, rare pairs pooled."""
    prompt, tokens, count = (2, 3, 4), len(WORDS), 1500
    expected = np.zeros((tokens, tokens))
    first = distribution(pair.target.forward(np.array([prompt]), pair.target.new_cache(1, 8))[0, -1], 1.0)
    for token in range(tokens):
        logits = pair.target.forward(np.array([(*prompt, token)]), pair.target.new_cache(1, 8))
        expected[token] = first[token] * distribution(logits[0, -1], 1.0)
    found = np.zeros((tokens, tokens))
    for batch in range(count // 500):
        outputs = run(
            pair.target,
            pair.draft,
            [prompt] * 500,
            window=1,
            output_tokens=2,
            chance=chance_of(500, batch),
            candidates=candidates,
        )
        for output in outputs:
            found[output.tokens] += 1
    common = expected * count >= 5
    observed = np.append(found[common], found[~common].sum())
    wanted = count * np.append(expected[common], expected[~common].sum())
    from scipy.stats import chi2

    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    assert observed.size > 20
    assert chi2.sf(statistic, observed.size - 1) > 1e-3


def test_what_is_recorded_is_what_scoring_the_completions_says(
    pair: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("abc\nddd e\ntab\n" * 4, encoding="utf-8")
    (draft,) = load_drafts([str(folders[1])])
    prompts = read_prompts(file, draft.tokenizer)
    recorded = record(pair, prompts, Asked(output_tokens=30, temperature=0.3))
    assert isinstance(recorded.trace, TokenTrace)
    assert 0.2 < recorded.trace.match.mean() < 0.98
    # No token of the padding is ever said, and the end of a text ends a request.
    said = list(itertools.chain.from_iterable(one.completion for one in recorded.completions))
    assert max(said) < len(WORDS)
    assert all(1 not in one.completion[:-1] for one in recorded.completions)
    log = CompletionLog(recorded.completions, "large", pair.tokenizer_hash, 0.3, 1.0, 0, 0)
    (scored,) = score_all([draft], log)
    assert scored.trace.match.tolist() == recorded.trace.match.tolist()
    assert scored.trace.confidence == pytest.approx(recorded.trace.confidence, abs=1e-4)


def test_another_tokenizer_is_refused_with_what_differs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from dsd_plan.measure.acceptance.torch_pair import torch_pair

    swapped = write_model(tmp_path / "swapped", 1, words=(*WORDS[:3], "c", "b", *WORDS[5:]))
    with pytest.raises(InputError, match=r"as many token ids, but other tokens.*'[bcd]'"):
        torch_pair(folders[0], swapped)
    longer = write_model(tmp_path / "longer", 1, words=(*WORDS, "z"))
    with pytest.raises(InputError, match="24 token ids against 23, among them 'z'"):
        torch_pair(folders[0], longer)
    with pytest.raises(InputError, match="its tokenizer is not that of"):
        load_drafts([str(folders[0]), str(longer)])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises((InputError, MeasurementError), match=tmp_path.name):
        load_drafts([str(tmp_path)])
