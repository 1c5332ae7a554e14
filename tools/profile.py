"""`make profile NAME=paper`: lay a profile of profiles/ over params.yaml and say what changed."""

from pathlib import Path

from mmlib import profiles, stage
from mmlib.errors import UserError

FOLDER = Path("profiles")


def main(arguments: list[str]) -> None:
    """Apply the one profile that is named."""
    if len(arguments) != 1:
        raise UserError(f"name one profile: {', '.join(profiles.names(FOLDER))}")
    changes = profiles.apply(arguments[0], FOLDER, Path("params.yaml"))
    print("\n".join(changes) if changes else "params.yaml already has these values")


if __name__ == "__main__":
    stage.run(main)
