"""The families of classes: each module has a sound and sights whose fields tell variants apart."""
