"""A small stock list: the file that the demonstration completes."""

import json
import os
from dataclasses import dataclass, field


@dataclass
class Item:
    """One line of the stock list."""

    name: str
    count: int = 0
    tags: list[str] = field(default_factory=list)

    def is_empty(self):
        return self.count == 0


class Inventory:
    """All items, by name."""

    def __init__(self, path):
        self.path = path
        self.items = {}

    def load(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, encoding="utf-8") as stream:
            for entry in json.load(stream):
                self.items[entry["name"]] = Item(**entry)

    def total(self):
        result = 0
        for item in self.items.values():
            result += item.count
        return result


if __name__ == "__main__":
    inventory = Inventory("stock.json")
    inventory.load()
    print(inventory.total())
