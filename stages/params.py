"""Check the whole of params.yaml, before DVC looks for the files it names; fetch public starts."""

from pathlib import Path

from mmlib.params.whole import file as whole
from mmlib.params.whole import named, published
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_text


def main(arguments: list[str]) -> None:
    """Write data/checked.txt, which says nothing but that the params were checked."""
    stage.no_row(arguments, "params")
    params = whole.load()
    named.bring(params)
    published.fetch(named.files(params).items())
    whole.check()
    publish_text("params.yaml is right\n", Path("data/checked.txt"))


if __name__ == "__main__":
    stage.run(main, check=False)
