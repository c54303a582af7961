"""The frozen CLIP text tower: strings -> features."""

from collections.abc import Callable, Sequence

import torch
from open_clip.model import CLIP
from torch import Tensor, nn

_SHOWN = 60  # characters of a prompt in messages


class CLIPTextEncoder(nn.Module):
    """Encode prompts with CLIP's text tower.

    The causal mask makes a prompt's feature independent of what follows its end-of-text token, so a batch is cut to
    its longest prompt instead of the 77 tokens of the published context: the same numbers, several times faster.

    Args:
        model: open_clip's CLIP (its text parts are referenced, not copied).
        tokenizer: maps a list of strings to token ids (T, context), zero-padded after the end-of-text token,
            which has the largest id; ``context_length`` sets its context.

    Attributes:
        variant: what changes the features beside weights: activation and number of heads.
        context_length: tokens that a prompt may have, start and end included.
    """

    def __init__(self, model: CLIP, tokenizer: Callable[..., Tensor]) -> None:
        super().__init__()
        self.transformer, self.token_embedding = model.transformer, model.token_embedding
        self.ln_final = model.ln_final
        self.positional_embedding = model.positional_embedding
        self.text_projection = model.text_projection
        self.tokenizer = tokenizer
        self.context_length: int = len(model.positional_embedding)
        first = model.transformer.resblocks[0]
        self.variant = f"{type(first.mlp.gelu).__name__}, {first.attn.num_heads} heads"
        self.requires_grad_(requires_grad=False).eval()

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt, start and end included, however many there are."""
        counts, context = [0] * len(prompts), self.context_length + 1
        waiting = list(range(len(prompts)))
        while waiting:
            tokens = self._tokenize([prompts[index] for index in waiting], context)
            found = dict(zip(waiting, (_last_ends(tokens) + 1).tolist(), strict=True))
            counts = [found.get(index, count) for index, count in enumerate(counts)]
            waiting = [index for index in waiting if counts[index] == context]  # may have been cut
            context *= 2
        return counts

    @torch.inference_mode()
    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Features (T, D) of T prompts, not normalised, in float32.

        Raises:
            ValueError: a prompt has more tokens than the text tower reads, or holds the end-of-text token itself: it
                would be cut.
        """
        device = self.positional_embedding.device
        tokens = self._tokenize(prompts, self.context_length + 1)
        ends = tokens.argmax(dim=1)  # (T,), the first ones
        self._check_whole(prompts, ends, _last_ends(tokens))
        length = int(ends.max()) + 1
        tokens, ends = tokens[:, :length].to(device), ends.to(device)
        mask = torch.full((length, length), float("-inf"), device=device).triu_(1)
        hidden = self.token_embedding(tokens) + self.positional_embedding[:length]
        hidden = self.ln_final(self.transformer(hidden, attn_mask=mask))
        return hidden[torch.arange(len(tokens), device=device), ends] @ self.text_projection

    def _tokenize(self, prompts: Sequence[str], context: int) -> Tensor:
        return self.tokenizer(list(prompts), context_length=context)

    def _check_whole(self, prompts: Sequence[str], ends: Tensor, last_ends: Tensor) -> None:
        for prompt, end, last in zip(prompts, ends.tolist(), last_ends.tolist(), strict=True):
            words = prompt if len(prompt) <= _SHOWN else f"{prompt[:_SHOWN]}..."
            if end != last:
                raise ValueError(f"The prompt {words!r} holds CLIP's end-of-text token: take it out of the words.")
            if end >= self.context_length:
                raise ValueError(
                    f"The prompt {words!r} has {self.count_tokens([prompt])[0]} tokens, but CLIP reads only"
                    f" {self.context_length}: use fewer words."
                )


def _last_ends(tokens: Tensor) -> Tensor:
    """Index (T,) of the last token with the largest id of each row (T, context)."""
    return tokens.shape[1] - 1 - tokens.flip(1).argmax(dim=1)
