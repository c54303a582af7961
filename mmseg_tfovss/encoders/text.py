"""The frozen CLIP text tower: strings -> features."""

from collections.abc import Callable, Sequence

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor, nn


class CLIPTextEncoder(nn.Module):
    """Encode prompts with CLIP's text tower.

    The causal mask makes a prompt's feature independent of what follows its end-of-text token, so a batch is cut to
    its longest prompt instead of the 77 tokens of the published context: the same numbers, several times faster.

    Args:
        model: open_clip's CLIP (its text parts are referenced, not copied).
        tokenizer: maps a list of strings to token ids (T, context), zero-padded after the end-of-text token,
            which has the largest id.

    Attributes:
        variant: what changes the features beside weights: activation and number of heads.
    """

    def __init__(self, model: CLIP, tokenizer: Callable[[list[str]], Tensor]) -> None:
        super().__init__()
        self.transformer, self.token_embedding = model.transformer, model.token_embedding
        self.ln_final = model.ln_final
        self.positional_embedding = model.positional_embedding
        self.text_projection = model.text_projection
        self.tokenizer = tokenizer
        first = model.transformer.resblocks[0]
        self.variant = f"{type(first.mlp.gelu).__name__}, {first.attn.num_heads} heads"
        self.requires_grad_(requires_grad=False).eval()

    @property
    def context_length(self) -> int:
        """Tokens that the tower reads at most, with those of start and end."""
        return len(self.positional_embedding)

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens each prompt has, uncut, with those of start and end."""
        encode = getattr(self.tokenizer, "encode", None) or open_clip.SimpleTokenizer().encode
        return [len(encode(prompt)) + 2 for prompt in prompts]

    @torch.inference_mode()
    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Features (T, D) of T prompts, not normalised, in float32."""
        device = self.positional_embedding.device
        tokens = self.tokenizer(list(prompts)).to(device)  # (T, context)
        ends = tokens.argmax(dim=1)
        length = int(ends.max()) + 1
        mask = torch.full((length, length), float("-inf"), device=device).triu_(1)
        hidden = self.token_embedding(tokens[:, :length]) + self.positional_embedding[:length]
        hidden = self.ln_final(self.transformer(hidden, attn_mask=mask))
        return hidden[torch.arange(len(tokens), device=device), ends] @ self.text_projection
