"""The one exception whose message is written for the person at the terminal."""


class UserError(Exception):
    """Something the user can mend; the message is one line: what is wrong, where, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
