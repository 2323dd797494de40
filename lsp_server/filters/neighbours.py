"""The lines around the cursor are not repeated."""

from lsp_server.filters.draft import Draft, is_telling


def without_neighbours(draft: Draft) -> str:
    """Cut before a line that repeats the line below the cursor. Return nothing if the text repeats the lines above.

    Lines are equal only with the same indentation, because ``return None`` may well end two branches.
    """
    lines = (draft.line_start + draft.text).split("\n")
    if draft.line_rest.strip():
        return draft.text
    if _are_lines_above(lines, draft):
        return ""
    below = next((line for line in draft.suffix.split("\n", 20)[1:] if line.strip()), "").rstrip()
    if not is_telling(below):
        return draft.text
    same = next((number for number, line in enumerate(lines) if line.rstrip() == below), None)
    if same is None:
        return draft.text
    return "\n".join(lines[:same])[len(draft.line_start) :]


def _are_lines_above(lines: list[str], draft: Draft) -> bool:
    written = [line.rstrip() for line in lines if line.strip()]
    if not any(map(is_telling, written)):
        return False
    above = [line.rstrip() for line in draft.prefix.split("\n")[-2 * len(lines) - 8 : -1] if line.strip()]
    return above[-len(written) :] == written
