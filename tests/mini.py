"""A CLIP small enough to build in milliseconds: three blocks of two heads, patch 8, 32 pixels (a 4x4 table)."""

from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

WIDTH, BLOCKS, PATCH, SIDE, EMBED = 128, 3, 8, 4, 32
CONFIG = {
    "embed_dim": EMBED,
    "vision_cfg": {
        "layers": BLOCKS,
        "width": WIDTH,
        "head_width": 64,
        "patch_size": PATCH,
        "image_size": SIDE * PATCH,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}


def new_mini_clip(*, quick_gelu):
    """open_clip's own CLIP of this size, with open_clip's initial weights."""
    return CLIP(
        embed_dim=EMBED,
        vision_cfg=CLIPVisionCfg(**CONFIG["vision_cfg"]),
        text_cfg=CLIPTextCfg(**CONFIG["text_cfg"]),
        quick_gelu=quick_gelu,
    )
