"""LaTeX: recorded, well-formed whatever the names, and compiled where there is a TeX."""

import re
import shutil
import subprocess

import pytest

from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.latex import escape_latex, to_latex
from mmseg_tfovss.leaderboard.published import published_numbers
from tests.leaderboard.boards import board, scored

TABLE = r"""\begin{tabular}{llllr}
\toprule
{}Method & Backbone & Setting & Precision & voc21 \\
\midrule
{}SCLIP & ViT-B-16/openai &  & fp32 & \textbf{59.12} \\
{}CLIP & ViT-B-16/openai &  & fp32 & \underline{16.20} \\
\bottomrule
\end{tabular}
"""
ACCENTED = "".join(chr(code) for code in range(0xC0, 0x100))
EVIL = f"""[*\\input{{x}} {{$&#_%~^<>|"}} -- '' `` é † 本 « » Ð ð Þ þ ¤ × ¿ {ACCENTED} \\\\ %"""


def evil_board(tmp_path):
    return board(
        scored(59.0, method=EVIL, backbone=EVIL, dataset="pocket_all", overrides={"a_b": EVIL}),
        scored(53.0, method="CLIPtrase", setting="336 pixels"),
        scored(40.0, method="*Ours"),
        scored(30.0, method="[1] first"),
        scored(50.0, method="CLIP", expected_images=1449),
        scored(50.0, protocol="unified", dataset="coco_object"),
        published=published_numbers({"voc21", "coco_object"}),
        left_out=[LeftOut(tmp_path / "a%\n\\end{document}", "is\nbroken")],
    )


def test_recorded_table():
    assert TABLE in to_latex(board(scored(59.1234), scored(16.2, method="CLIP")))


def test_special_signs_are_escaped():
    assert escape_latex("50%_a\nb") == r"50\%\_a b"
    assert escape_latex("\\{}^本") == r"\textbackslash{}\{\}\textasciicircum{}{[}U+672C]"
    assert escape_latex("[a] ViT-B-16 --- «ü") == "{[}a] ViT-B-16 -{}-{}- {[}U+00AB]ü"


def test_every_row_has_its_table_s_columns_and_environments_are_balanced(tmp_path):
    text = to_latex(evil_board(tmp_path))
    tables = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(tables) == 4
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    for columns, body in tables:
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(rows) >= 2
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
        for row in rows:
            assert row.startswith("{}")
            plain = re.sub(r"\\[{}]", "", row)
            assert plain.count("{") == plain.count("}")
            assert not re.search(r"(?<!\\)[%#_$]", row)
    assert "{}*Ours & " in text
    assert "{}{[}1] first & " in text
    assert "(paper 53.04, -0.04 {[}1])" in text
    assert r"{\scriptsize {[}1] README of leaves162/CLIPtrase @ 2b7de61\par}" in text
    assert "% Does not count:" in text
    assert "ranks nothing about the real world" in text


@pytest.mark.slow
def test_compiles_alone_and_inside_a_document(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex with booktabs (apt install texlive-latex-recommended)")
    (tmp_path / "leaderboard.tex").write_text(to_latex(evil_board(tmp_path)))
    whole = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{leaderboard}text\end{document}"
    (tmp_path / "paper.tex").write_text(whole)
    for name in ("leaderboard", "paper"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert answer.returncode == 0, answer.stdout.decode(errors="replace")[-2000:]
        assert (tmp_path / f"{name}.pdf").stat().st_size > 1000
