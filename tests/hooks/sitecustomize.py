"""What tests.moments asks of a process by its environment."""

from tests.moments import obey

obey()
