"""`make profile NAME="audioset paper"`: lay profiles over params.yaml and say what changed."""

from pathlib import Path

from mmlib import profiles, stage
from mmlib.errors import UserError

FOLDER = Path("profiles")


def main(arguments: list[str]) -> None:
    """Apply the profiles that are named, one over the other."""
    if not arguments:
        raise UserError(f"name one or more profiles: {', '.join(profiles.names(FOLDER))}")
    changes = profiles.apply(" ".join(arguments), FOLDER, Path("params.yaml"))
    print("\n".join(changes) if changes else "params.yaml already has these values")


if __name__ == "__main__":
    stage.run(main)
