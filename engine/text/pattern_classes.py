"""Character classes as expressions of pre-tokenizers spell them: literals, escapes, ``\\p{..}``, brackets."""

import re

from engine.text.character_tests import Test, any_of, category, inverted, one_of, shorthand


class UnknownSyntax(Exception):
    """The expression uses syntax that is not understood here. This is not shown to the user: the expression is treated
    as opaque.
    """


class ClassReader:
    """A cursor in an expression that reads the class that begins there."""

    def __init__(self, expression: str) -> None:
        self.text = expression
        self.at = 0

    def takes(self, token: str) -> bool:
        """Whether ``token`` is at the cursor. If so, the cursor moves past it."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) if found else 0
        return found

    def escaped(self) -> Test:
        """The class of the escape sequence at the cursor, inside or outside of brackets."""
        if match := re.compile(r"\\([pP])\{(\^?)(\w+)\}").match(self.text, self.at):
            self.at = match.end()
            test = category(match[3])
            return inverted(test) if (match[1] == "P") != bool(match[2]) else test
        if match := re.compile(r"\\([sSdDwW])").match(self.text, self.at):
            self.at = match.end()
            test = shorthand(match[1].lower())
            return inverted(test) if match[1].isupper() else test
        return one_of(self.character())

    def character(self) -> str:
        """One literal character at the cursor, escaped or not."""
        if self.at >= len(self.text):
            raise UnknownSyntax("the expression ends inside brackets")
        if match := re.compile(r"\\(?:x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))").match(
            self.text, self.at
        ):
            self.at = match.end()
            return chr(int(match[1] or match[2] or match[3], 16))
        if self.text[self.at] != "\\":
            self.at += 1
            return self.text[self.at - 1]
        name = self.text[self.at + 1 : self.at + 2]
        controls = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
        if not name or (name.isalnum() and name not in controls):
            raise UnknownSyntax(self.text[self.at :])
        self.at += 2
        return controls.get(name, name)

    def bracket(self) -> Test:
        """The class of a bracket expression whose opening bracket was already read."""
        negated = self.takes("^")
        tests: list[Test] = []
        while not self.takes("]"):
            if self.takes("["):
                if self.takes(":"):
                    raise UnknownSyntax("a POSIX class")
                tests.append(self.bracket())
            elif self.takes("&&"):
                raise UnknownSyntax("an intersection of classes")
            elif re.compile(r"\\[pPsSdDwW]").match(self.text, self.at):
                tests.append(self.escaped())
            else:
                low = high = self.character()
                if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                    self.at += 1
                    high = self.character()
                tests.append(one_of(low, high))
        return inverted(any_of(tests)) if negated else any_of(tests)
