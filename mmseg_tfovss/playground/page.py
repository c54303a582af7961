"""The page itself, in Gradio: fields on the left, overlays and their legend on the right."""

import secrets
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from mmseg_tfovss.playground.answer import Answer, Labelled, Playground, Question, tinted
from mmseg_tfovss.playground.choice import MOST_METHODS
from mmseg_tfovss.playground.legend import class_shares, describe, draw_legend
from mmseg_tfovss.pocket.classes import STUFF, THINGS
from mmseg_tfovss.vocabulary.words import count_of

STYLE = """
.legend { border: none; border-collapse: collapse; width: auto; }
.legend tr { border: none; border-bottom: 1px solid var(--border-color-primary); }
.legend th, .legend td { padding: .2rem .8rem .2rem 0; border: none; text-align: left; overflow-wrap: anywhere; }
.legend td { font-variant-numeric: tabular-nums; }
.legend tbody th { font-weight: normal; }
.legend .swatch { display: inline-block; width: 1em; height: 1em; margin-right: .5em; vertical-align: -.15em; }
.problem { border-left: .3rem solid #c62828; padding-left: .7rem; font-weight: 600; }
.overlays { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(220px, 100%), 1fr)); }
@media (min-width: 640px) { .overlays:has(> :nth-child(4)) { grid-template-columns: 1fr 1fr; } }
.overlay .image-container button, .overlay .image-frame, .overlay img { width: 100%; object-fit: contain; }
.methods label { padding: .2rem .5rem; }
.methods input:focus-visible { outline: 2px solid var(--body-text-color); outline-offset: 2px; }
"""
# An answer, and how far it is, may be far above or below the button, on a phone always.
_TO_RESULTS = """() => {
    const results = document.getElementById("results"), top = results.getBoundingClientRect().top;
    if (top < 0 || top > innerHeight / 2) results.scrollIntoView();
}"""
_FONTS, _MONO_FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # Gradio's own come from Google
_SHOWN = 1024  # pixels of the long side of a picture in the page; downloads have the full size
_HOURLY, _ONE_DAY = 3600, 86400  # seconds: how often old files are deleted, and how old they are then
_POCKET_HINT = (
    "CLIP here is the small **pocket CLIP** of this package. It knows drawings like the examples, and only these words:"
    f" {', '.join((*THINGS, *STUFF))}. For photographs and any words, start the page with `tfovss app --pretrained"
    " openai`."
)
_REAL_HINT = "Any words will do. The examples are drawings of apples, bananas, grass and the like."


def new_theme() -> gr.themes.Default:
    """Gradio's theme with fonts of the reader's machine, and with hints and a button that are easy to read.

    White on orange 700 has a contrast of 5.2, on Gradio's own 500 of 2.8.
    """
    theme = gr.themes.Default(font=_FONTS, font_mono=_MONO_FONTS)
    return theme.set(
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def build_page(playground: Playground, chosen: Sequence[str], scenes: Mapping[str, Path], folder: Path) -> gr.Blocks:
    """Lay out the page and connect its button.

    Args:
        playground: answers.
        chosen: methods whose boxes are ticked at the start.
        scenes: example images by what they show.
        folder: Gradio's own for this run (``GRADIO_TEMP_DIR``), where the files of answers go.
    """

    def respond(
        image: str | None,
        words: str,
        background: str,
        threshold: float,
        methods: list[str],
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio finds it
    ) -> list[Any]:
        place = folder / secrets.token_hex(16)
        place.mkdir()
        question = Question(image, words or "", background or "", float(threshold or 0), methods)
        return _shown(playground.answer(question, place, lambda done, what: progress(done, desc=what)))

    title = "Segment an image with your own words"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(_HOURLY, _ONE_DAY)) as page:
        gr.Markdown(f"# {title}\n{_POCKET_HINT if playground.is_pocket else _REAL_HINT}")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                fields = _fields(playground.offered, chosen, scenes)
                button = gr.Button("Segment", variant="primary")
            with gr.Column(scale=3, min_width=300, elem_id="results"):
                outputs = _places()
        button.click(None, js=_TO_RESULTS)
        button.click(_busy, None, outputs, queue=False, show_progress="hidden", api_visibility="private").then(
            respond, fields, outputs, concurrency_limit=1, show_progress_on=outputs[0], api_visibility="private"
        ).then(None, js=_TO_RESULTS)
    return page


def _path_of(payload: ImageData | None) -> str | None:
    """The uploaded file as it is, which our own reader reads, or says what is wrong with."""
    return payload.path if payload else None


def _fields(offered: Sequence[str], chosen: Sequence[str], scenes: Mapping[str, Path]) -> list[Any]:
    """The question: image, words, background, threshold, methods."""
    image = gr.Image(
        label="Image", sources=["upload", "clipboard"], type="filepath", height=280, alt_text="The image to segment"
    )
    image.preprocess = _path_of  # Gradio's own opens the file, and fails at one that is no image
    gr.Examples(
        [[str(path)] for path in scenes.values()],
        [image],
        example_labels=list(scenes),
        label="Examples",
        api_visibility="private",
    )
    words = gr.Textbox(
        value="\n".join("; ".join(words) for words in (THINGS, STUFF)),
        label="Words",
        info='One class a line, or separated by ";". Synonyms of a class are separated by commas: dog, puppy.',
        lines=4,
        max_lines=14,
    )
    methods = gr.CheckboxGroup(
        list(offered), value=list(chosen), label=f"Methods (one to {MOST_METHODS})", elem_classes="methods"
    )
    with gr.Accordion("Background", open=False):
        background = gr.Textbox(
            label="Background words",
            info="All of them together are one class, which is put in front of the others. May be empty.",
            lines=2,
        )
        threshold = gr.Slider(
            0,
            1,
            value=0,
            step=0.01,
            label="Threshold",
            info="Pixels whose best class has a lower probability become background: the background words, or, without"
            " any, the first class. 0 switches it off.",
        )
    return [image, words, background, threshold, methods]


def _places() -> list[Any]:
    """Where an answer goes: notes, four times a column with its overlay and two buttons, the legend."""
    places: list[Any] = [gr.HTML('<p role="status">The overlays will be here.</p>')]
    with gr.Row(elem_classes="overlays"):
        for _ in range(MOST_METHODS):
            with gr.Column(min_width=0, visible=False) as column:
                picture = gr.Image(interactive=False, buttons=["fullscreen"], elem_classes="overlay")
                with gr.Row():
                    mask = gr.DownloadButton(size="sm", min_width=100)
                    overlay = gr.DownloadButton(size="sm", min_width=100)
            places += [column, picture, mask, overlay]
    return [*places, gr.HTML()]


def _busy() -> list[Any]:
    """Nothing of the last answer, whose files could be taken for those of the new one."""
    return ['<p role="status">Segmenting ...</p>', *_filled(()), ""]


def _shown(answer: Answer) -> list[Any]:
    """An answer as updates of :func:`_places`."""
    if answer.problem:
        return [f'<p role="alert" class="problem">{escape(answer.problem)}</p>', *_filled(()), ""]
    names = answer.labelled[0].result.classes
    shares = {part.method: class_shares(part.result.labels, len(names)) for part in answer.labelled}
    alternatives = [describe(method, names, column) for method, column in shares.items()]
    height, width = answer.labelled[0].result.labels.shape
    told = [f"{width} x {height} pixels, {count_of(len(names), 'class', 'classes')}.", *answer.notes]
    notes = "".join(f"<p>{escape(note)}</p>" for note in told)
    pairs = list(zip(answer.labelled, alternatives, strict=True))
    return [f'<div role="status">{notes}</div>', *_filled(pairs), draw_legend(names, shares)]


def _filled(parts: Sequence[tuple[Labelled, str]]) -> list[Any]:
    """Updates of the columns: those of the methods, and empty ones."""
    updates: list[Any] = []
    for part, alternative in parts:
        method = part.method
        updates += [
            gr.Column(visible=True),
            gr.Image(tinted(part, _SHOWN), label=method, alt_text=alternative),
            gr.DownloadButton(f"Mask of {method}", value=part.mask),
            gr.DownloadButton(f"Overlay of {method}", value=part.overlay),
        ]
    for _ in range(MOST_METHODS - len(parts)):
        updates += [gr.Column(visible=False), gr.Image(None), gr.DownloadButton(), gr.DownloadButton()]
    return updates
