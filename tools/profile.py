"""`make profile NAME="audioset paper"`: lay profiles over params.yaml and say what changed."""

from pathlib import Path

from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from tools import profiles

FOLDER = Path("profiles")


def main(arguments: list[str]) -> None:
    """Apply the profiles that are named, one over the other."""
    if not arguments:
        raise UserError(f"name one or more profiles: {', '.join(profiles.names(FOLDER))}")
    changes = profiles.apply(" ".join(arguments), FOLDER, Path("params.yaml"))
    print("\n".join(changes) if changes else "params.yaml already has these values")


if __name__ == "__main__":
    stage.run(main, check=False)
