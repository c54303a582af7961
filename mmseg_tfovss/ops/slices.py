"""Ranges of numbers in slices."""

from collections.abc import Iterator, Sequence


def parts(count: int, step: int) -> Iterator[slice]:
    """0 .. count in slices of ``step``, of 1 at least."""
    step = max(1, step)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def runs_of(numbers: Sequence[int]) -> list[slice]:
    """Ascending numbers as slices of consecutive ones."""
    runs: list[slice] = []
    for number in numbers:
        if runs and runs[-1].stop == number:
            runs[-1] = slice(runs[-1].start, number + 1)
        else:
            runs.append(slice(number, number + 1))
    return runs
