"""Check the whole of params.yaml, before DVC looks for the files that it names."""

from pathlib import Path

from mmlib.params.whole import file as whole
from mmlib.params.whole import named
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_text


def main(arguments: list[str]) -> None:
    """Write data/checked.txt, which says nothing but that the params were checked."""
    stage.no_row(arguments, "params")
    named.bring(whole.load())
    whole.check()
    publish_text("params.yaml is right\n", Path("data/checked.txt"))


if __name__ == "__main__":
    stage.run(main, check=False)
