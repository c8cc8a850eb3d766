"""A model made on the spot, small enough to learn in minutes on any machine, and its tokenizer of characters.

Its prompts may be long: what many of them have in common, such as instructions, is one token each.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import AddedToken, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from app.jobs.specs.training import CONTEXT_OF_TINY, TinyModel

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unknown>"
COMMON: Final = 0.01  # the share of prompts that a phrase must stand in
SHORTEST: Final = 4  # characters of a phrase
PHRASE: Final = re.compile(rf"\D{{{SHORTEST},}}")


def phrases(prompts: Sequence[str]) -> list[str]:
    """What all prompts end with, and what stands between the numbers of many before that, the longest first."""
    backwards = [prompt[::-1] for prompt in prompts]
    reversed_end = os.path.commonprefix(backwards) if len(set(prompts)) > 1 else ""  # noqa: RUF071 - no paths
    end = reversed_end[::-1].lstrip("0123456789")  # a number that it begins with may be half of one
    rest = [prompt.removesuffix(end) for prompt in prompts]
    counts = Counter(chain.from_iterable(set(PHRASE.findall(prompt)) for prompt in rest))
    common = {phrase for phrase, count in counts.items() if count >= max(2, COMMON * len(prompts))}
    common |= {end} if len(end) >= SHORTEST else set()
    return sorted(common, key=lambda phrase: (-len(phrase), phrase))


def tiny_tokenizer(prompts: Sequence[str], answers: Iterable[str]) -> Any:
    """A tokenizer of the characters of prompts and answers, and of the phrases that prompts have in common."""
    known = phrases(prompts)
    pattern = re.compile("|".join(map(re.escape, known)) or r"(?!)")
    bare = (pattern.sub("", prompt) for prompt in prompts)
    characters = sorted(set(chain.from_iterable(bare)) | set(chain.from_iterable(answers)))
    vocabulary = {token: i for i, token in enumerate([PAD, EOS, UNKNOWN, *characters])}
    words = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    words.pre_tokenizer = Split("", "isolated")
    words.decoder = Fuse()  # characters, without spaces between them
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=PAD, eos_token=EOS, unk_token=UNKNOWN, padding_side="left"
    )
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in known])
    return tokenizer


def tiny_model(shape: TinyModel, tokenizer: Any) -> Any:
    """The model, with weights drawn by its seed. A Llama: for a Qwen2 AutoTokenizer has a class with its own rules."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT_OF_TINY,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(shape.seed)
        return LlamaForCausalLM(config)
