"""Prompts that a text tower would not read to their end."""

from collections.abc import Sequence
from typing import Protocol

from mmseg_tfovss.vocabulary.classes import Vocabulary
from mmseg_tfovss.vocabulary.words import clip_tokenizer, quoted

_SLACK = 8  # tokens: a word and a template may make another number together than apart, by a few at their seams


class TokenCounter(Protocol):
    """What is asked of a text tower."""

    @property
    def context_length(self) -> int:
        """Tokens that are read at most."""

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt, uncut, with those of start and end."""


class PublishedClip:
    """Counts as the text towers of the published CLIPs do, and that of the pocket CLIP, without loading one."""

    context_length = 77

    def __init__(self) -> None:
        self._tokenizer = clip_tokenizer()

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt, uncut, with those of start and end."""
        return [len(self._tokenizer.encode(prompt)) + 2 for prompt in prompts]


def check_lengths(vocabulary: Vocabulary, templates: Sequence[str], encoder: TokenCounter) -> None:
    """Refuse words whose prompts a text tower would cut: two of them could get the same features.

    Args:
        vocabulary: all its queries are looked at.
        templates: strings with one ``{}``; the longest one decides.
        encoder: counts.

    Raises:
        ValueError: the first such class, its word and the number of its tokens are named.
    """
    limit = encoder.context_length
    longest = max(encoder.count_tokens([template.replace("{}", "") for template in templates]))
    lengths = encoder.count_tokens(vocabulary.queries)
    for query, number, length in zip(vocabulary.queries, vocabulary.query_class, lengths, strict=True):
        if length + longest + _SLACK <= limit:  # start and end are in both
            continue
        prompts = [template.replace("{}", query) for template in templates]
        tokens, template = max(zip(encoder.count_tokens(prompts), templates, strict=True), key=lambda pair: pair[0])
        if tokens > limit:
            place = vocabulary.place(number)
            around = "" if template == "{}" else f' in the prompt "{template}"'
            raise ValueError(
                f"The word {quoted(query)} ({place}) makes {tokens} tokens{around}, but the text tower reads {limit}:"
                " shorten it."
            )
