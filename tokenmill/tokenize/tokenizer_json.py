"""A Hugging Face `tokenizer.json` as rules that the kernel follows, where it can be proven to do the same.

What it cannot is Unsupported, and says what it is: the library does it then. Special tokens are not looked for in any
text (see library_encoder.py). The file's other added tokens are, by the library: `added` tells such texts apart.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmill.tokenize.byte_bpe import Rules
from tokenmill.tokenize.split_automaton import Automaton, compile_pattern
from tokenmill.tokenize.split_pattern import Choice, Node, One, Repeat, Row, Unsupported, category, parse

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # ByteLevel's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """`prefix_space`: a text that does not begin with white space gets one. `added`: contents of tokens that are
    looked for before anything else; none holds another.
    """

    rules: Rules
    prefix_space: bool
    nfc: bool
    added: tuple[str, ...]


def read(path: Path, forbidden: set[int]) -> Described:
    """`forbidden`: ids that no text may become. Raises Unsupported."""
    content = json.loads(path.read_bytes())
    model = content["model"]
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise Unsupported(f"a model of type {model['type']}" if "type" in model else "a model without merges")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise Unsupported(f"model.{key}")
    if model.get("byte_fallback"):
        raise Unsupported("byte_fallback: a SentencePiece model")
    splits, prefix_space = _splits(content.get("pre_tokenizer"))
    rules = _rules(model, splits)
    made = {id for _, id in rules.merges.values()} | set(rules.byte_ids)
    if forbidden & (made | (rules.words.keys() if rules.whole else set())):
        raise Unsupported("merges that give a special token")
    added = [t["content"] for t in content.get("added_tokens", []) if not t.get("special") and t["id"] not in forbidden]
    return Described(
        rules=rules, prefix_space=prefix_space, nfc=_is_nfc(content.get("normalizer")), added=_least(added)
    )


def _rules(model: dict[str, Any], splits: tuple[Automaton, ...]) -> Rules:
    bytes_of = {character: byte for byte, character in enumerate(_BYTE_CHARACTERS)}
    ids: dict[str, int] = model["vocab"]
    missing = [byte for byte in _BYTES_OF_UTF8 if _BYTE_CHARACTERS[byte] not in ids]
    if missing:
        raise Unsupported(f"a vocabulary without {len(missing)} of the bytes that text is made of")
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        merges[ids[left], ids[right]] = rank, ids[left + right]
    words = {id: bytes(map(bytes_of.__getitem__, t)) for t, id in ids.items() if all(c in bytes_of for c in t)}
    return Rules(
        splits=splits,
        # In no text are the bytes that may be missing; whoever reads them nevertheless gets an id of one byte.
        byte_ids=tuple(ids.get(character, ids[_BYTE_CHARACTERS[0]]) for character in _BYTE_CHARACTERS),
        merges=merges,
        words={id: word for id, word in words.items() if word},
        whole=bool(model.get("ignore_merges")),
    )


def _splits(pre_tokenizer: dict[str, Any] | None) -> tuple[tuple[Automaton, ...], bool]:
    """Down to ByteLevel, which must be the last; and whether that puts a space before a text."""
    if pre_tokenizer is None:
        raise Unsupported("no pre_tokenizer")
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    *before, last = steps
    if last["type"] != "ByteLevel":
        raise Unsupported(f"a pre_tokenizer that ends in {last['type']}")
    prefix_space = bool(last.get("add_prefix_space"))
    if before and prefix_space:
        raise Unsupported("add_prefix_space behind another split")
    nodes = [_split(step) for step in before]
    if last.get("use_regex", True):
        nodes.append(parse(GPT2))
    if not nodes:
        raise Unsupported("no split: every text would be one pretoken")
    return tuple(compile_pattern(_covering(node)) for node in nodes), prefix_space


def _split(step: dict[str, Any]) -> Node:
    match step["type"]:
        case "Split":
            if "Regex" not in step["pattern"]:
                raise Unsupported("a split at a string")
            how = step["behavior"], bool(step.get("invert"))
            if how not in (("Isolated", False), ("Isolated", True), ("Removed", True)):
                raise Unsupported(f"a split whose behavior is {step['behavior']}")
            node = parse(step["pattern"]["Regex"])
            if how == ("Removed", True) and not compile_pattern(node).covers:
                raise Unsupported("a split that loses what its pattern leaves out")
            return node
        case "Digits":
            number = One(category("N"))
            return number if step.get("individual_digits") else Repeat(number, 1, None)
        case other:
            raise Unsupported(f"the pre_tokenizer {other}")


def _covering(node: Node) -> Node:
    """With what stands between its matches, where these are characters of one set: a run instead of many looks."""
    bare = node
    while isinstance(bare, Row) and len(bare.parts) == 1:
        bare = bare.parts[0]
    match bare:
        case One(of) | Repeat(One(of), 1, _) | Repeat(Row((One(of),)), 1, _):
            return Choice((bare, Repeat(One(~of), 1, None)))
        case _:
            return node


def _is_nfc(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return False
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    kinds = {step["type"] for step in steps}
    if not kinds <= {"NFC"}:
        raise Unsupported(f"the normalizer {', '.join(sorted(kinds))}")
    return bool(kinds)


def _least(contents: Sequence[str]) -> tuple[str, ...]:
    """Those that hold no other one: a text with any of them has one of these."""
    least: list[str] = []
    for content in sorted(set(contents), key=len):
        if content and not any(other in content for other in least):
            least.append(content)
    return tuple(least)


def any_of(contents: Sequence[str]) -> str:
    """A regular expression for any of them."""
    return "|".join(re.escape(content) for content in contents)


def _byte_characters() -> str:
    """How ByteLevel writes each byte: printable ones of Latin-1 as themselves, the others from U+0100 on."""
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in itself else next(others)) for byte in range(256))


_BYTE_CHARACTERS = _byte_characters()
_BYTES_OF_UTF8 = sorted({*range(0xF5)} - {0xC0, 0xC1})
