"""Draw the beams of docs/search.md: real searches of the bundled model that pronounces English words."""

from __future__ import annotations

import argparse
from pathlib import Path

import fastseq


def draw(word: str, path: Path, **options: object) -> list[fastseq.Hypothesis]:
    """Search the pronunciation of a word and write the picture of the search: its hypotheses."""
    model = fastseq.pipeline("pronounce", "lstm").model
    [generation] = model.generate([model.vocabulary.encode(word)], return_trace=True, **options)
    described = ", ".join(f"{name} = {value}" for name, value in options.items())
    generation.hypotheses.plot(path, labels=model.vocabulary.target, title=f"{word}: {described}")
    return generation.hypotheses


def main() -> None:
    """Write the pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/images"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, num_beams in (("greedy", 1), ("beam", 3)):
        for hypothesis in draw("gaol", folder / f"search-{name}.svg", num_beams=num_beams):
            print(name, hypothesis.tokens, f"{hypothesis.score:.4f}")


if __name__ == "__main__":
    main()
