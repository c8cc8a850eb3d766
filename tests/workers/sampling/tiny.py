"""A small causal model with its tokenizer, made on the spot and saved as safetensors."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CHARACTERS = "0123456789+="
EOS = 0
CONTEXT = 64
TEMPLATE = "{% for message in messages %}={{ message['content'] }}+{% endfor %}"


def save_tiny_model(
    folder: Path, *, chat: bool = True, seed: int = 0, characters: str = CHARACTERS, context: int = CONTEXT
) -> Path:
    """The folder, with a model of characters whose next token is far from certain."""
    # transformers reads a tokenizer of Qwen2's by bytes, whatever the file says, and there a space is written Ġ.
    vocabulary = {"<eos>": EOS, **{character: i + 1 for i, character in enumerate(characters.replace(" ", "Ġ"))}}
    words = Tokenizer(WordLevel(vocabulary, unk_token="="))
    words.pre_tokenizer = Split("", "isolated")
    words.decoder = Fuse()  # characters, without spaces between them
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>")
    if chat:
        tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=context,
        initializer_range=0.3,
        tie_word_embeddings=False,
        eos_token_id=EOS,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def logprob_of(folder: Path, prompt: list[int], completion: list[int]) -> float:
    """The log-probability of a completion's tokens by one forward pass over the whole text."""
    model: Any = Qwen2ForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + completion])).logits[0].double()
    steps = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return sum(float(logits[at].log_softmax(-1)[token]) for at, token in zip(steps, completion, strict=True))


def ids(text: str, characters: str = CHARACTERS) -> list[int]:
    """The tokens of a text of the model's characters."""
    return [characters.index(character) + 1 for character in text]
