"""Lists in headers, where a separator inside a quoted string separates nothing (RFC 9110, 5.6)."""


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Return the parts of `text` between separators that stand outside double quotes."""
    parts, quoted, escaped = [""], False, False
    for character in text:
        if character == separator and not quoted:
            parts.append("")
            continue
        parts[-1] += character
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
    return parts
