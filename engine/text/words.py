"""Words: letters of any script with their marks, digits and underscores."""

import unicodedata


def is_word_character(character: str) -> bool:
    """Whether it is part of a word. Marks belong to the letter before them, so they count as parts of words."""
    return character == "_" or character.isalnum() or unicodedata.category(character).startswith("M")
