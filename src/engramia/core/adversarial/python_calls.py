"""What a call in Python hands back when its arguments are constants: printing, formatting, decoding."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from engramia.core.adversarial.python_syntax import Function, dotted, items
from engramia.core.adversarial.values import (
    HOLE,
    LONGEST,
    Choice,
    Hole,
    Reading,
    Shown,
    When,
    as_text,
    decoded,
    is_constant,
    is_open,
    is_text,
    item_of,
    joined,
    text_of,
)

_SHOWING: Final = {"print", "pprint", "sys.stdout.write", "display", "click.echo", "rich.print", "typer.echo"}
_AS_IT_IS: Final = {
    "str",
    "repr",
    "int",
    "float",
    "round",
    "list",
    "tuple",
    "Decimal",
    "dedent",
    "cleandoc",
    "ascii",
}
_IDLE: Final = {
    "sleep",
    "exit",
    "info",
    "debug",
    "warning",
    "error",
    "basicConfig",
    "getLogger",
    "perf_counter",
    "seed",
}
_DECODERS: Final = {
    "b64decode": "base64",
    "urlsafe_b64decode": "base64",
    "decodebytes": "base64",
    "unhexlify": "hex",
    "a2b_base64": "base64",
    "fromhex": "hex",
}
_CODECS: Final = {"hex": "hex", "base64": "base64", "rot13": "rot13", "rot_13": "rot13"}
_UNCHANGING: Final = {"strip", "rstrip", "lstrip", "encode", "copy", "expandtabs"}
_SHELLS: Final = {"os.system", "subprocess.run", "subprocess.call", "subprocess.check_call", "os.popen"}


class Reader(Protocol):
    """What this module needs of the walk over the program."""

    works: bool
    when: When
    env: dict[str, tuple[object, int]]
    functions: dict[str, Function]
    shown: list[Shown]
    nested: Callable[[str, str], Reading | None] | None

    def value(self, node: ast.expr) -> object: ...
    def show(self, value: object, line: int) -> None: ...
    def computed(self, *nodes: ast.expr) -> object: ...
    def call_function(self, name: str, node: ast.Call, arguments: Sequence[object]) -> object: ...


def call(reader: Reader, node: ast.Call) -> object:
    """Return what `node` hands back, after noting what it shows or changes."""
    name = dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    last = name.rpartition(".")[2]
    if name in _SHOWING or last == "pprint":
        return _print(reader, node)
    if last in reader.functions:
        return reader.call_function(last, node, [reader.value(each) for each in node.args])
    if name in _SHELLS and reader.nested is not None:
        return _shell(reader, node)
    if last in _IDLE:
        return HOLE
    found = _method(reader, node, node.func) if isinstance(node.func, ast.Attribute) else HOLE
    if isinstance(found, Hole):
        found = _constructed(reader, node, last)
    return reader.computed(node) if is_open(found) else found


def _print(reader: Reader, node: ast.Call) -> object:
    keywords = {each.arg: each.value for each in node.keywords}
    if "file" in keywords:
        return HOLE
    values: list[object] = []
    for argument in node.args:
        value = reader.value(argument)
        known = items(value) if isinstance(argument, ast.Starred) else None
        values.extend(known if known is not None else [value])
    separator = reader.value(keywords["sep"]) if "sep" in keywords else " "
    if len(values) == 1:
        reader.show(values[0], node.lineno)
    elif any(isinstance(each, Choice) for each in values):
        for each in values:
            reader.show(each, node.lineno)
    else:
        reader.show(joined(separator if isinstance(separator, str) else " ", values), node.lineno)
    return None


def _shell(reader: Reader, node: ast.Call) -> object:
    command = reader.value(node.args[0]) if node.args else HOLE
    if isinstance(command, list) and is_constant(command):
        command = " ".join(_quoted(str(each)) for each in command)
    inner = reader.nested("bash", command) if isinstance(command, str) and reader.nested else None
    if inner is None or inner.works:
        reader.computed(node)
    for each in inner.shown if inner else ():
        reader.shown.append(Shown(each.pieces, node.lineno, max(each.when, reader.when)))
    return (
        text_of([piece for each in inner.shown for piece in each.pieces]) if inner and inner.shown else HOLE
    )


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _constructed(reader: Reader, node: ast.Call, last: str) -> object:
    """Return the result of calls whose arguments go through as they are, in other clothes, or decoded."""
    if last == "dict" and not node.args:
        return {each.arg: reader.value(each.value) for each in node.keywords if each.arg}
    arguments = [reader.value(each) for each in node.args]
    if not arguments:
        return HOLE
    first, second = arguments[0], arguments[1] if len(arguments) > 1 else ""
    if last in _AS_IT_IS or (last == "dumps" and not is_open(first)):
        return first
    codec = _CODECS.get(second) if last == "decode" and isinstance(second, str) else _DECODERS.get(last)
    if codec is not None:
        return decoded(codec, first)
    if last == "format":
        return formatted(first, second if isinstance(second, str) else "")
    return _listed(reader, node, last, arguments)


def _listed(reader: Reader, node: ast.Call, last: str, arguments: Sequence[object]) -> object:
    """Return the result of calls that go through the items of their arguments."""
    first = arguments[0]
    if last in {"chr", "bytes", "bytearray"}:
        return _characters(last, first)
    known = items(arguments[-1] if last == "map" else first)
    if known is None:
        return HOLE
    if last == "map":
        return _mapped(dotted(node.args[0]), known)
    if last == "enumerate":
        start = reader.value(node.keywords[0].value) if node.keywords else [*arguments, 0][1]
        return [(number, each) for number, each in enumerate(known, start if isinstance(start, int) else 0)]
    columns = [items(each) or [] for each in arguments] if last == "zip" else []
    return [tuple(row) for row in zip(*columns, strict=False)] if all(columns) and columns else HOLE


def _mapped(name: str | None, known: list[object]) -> object:
    if name == "chr":
        return [_characters("chr", each) for each in known]
    return known if name in {"str", "repr"} else HOLE


def _characters(name: str, value: object) -> object:
    """Return the text or the bytes that codes stand for."""
    try:
        if name == "chr":
            return chr(value) if isinstance(value, int) else HOLE
        return bytes(value) if isinstance(value, list) else HOLE
    except (ValueError, TypeError, OverflowError):
        return HOLE


def _method(reader: Reader, node: ast.Call, function: ast.Attribute) -> object:
    """Return the result of a method of a known text or container."""
    name, owner = function.attr, reader.value(function.value)
    arguments = [reader.value(each) for each in node.args]
    if isinstance(owner, str) and name in {"join", "format", "split", "splitlines"}:
        named = {each.arg: reader.value(each.value) for each in node.keywords if each.arg}
        return _text_method(owner, name, arguments, named)
    if name == "decode":
        return as_text(owner)
    if name in _UNCHANGING and (is_text(owner) or isinstance(owner, list | dict)):
        return owner
    return _container(reader, function, owner, arguments) if isinstance(owner, list | dict) else HOLE


def _text_method(owner: str, name: str, arguments: Sequence[object], named: Mapping[str, object]) -> object:
    if name == "format":
        return filled(owner, arguments, named)
    if name == "join":
        known = items(arguments[0]) if arguments else None
        return joined(owner, known) if known is not None else HOLE
    separator = arguments[0] if arguments else None
    if isinstance(separator, str) and separator:
        return owner.split(separator)
    return owner.splitlines() if name == "splitlines" else owner.split()


def _container(reader: Reader, function: ast.Attribute, owner: object, arguments: Sequence[object]) -> object:
    if isinstance(owner, Mapping):
        if function.attr == "items":
            return [(key, value) for key, value in owner.items()]
        if function.attr in {"values", "keys"}:
            return list(owner.values() if function.attr == "values" else owner)
        return item_of(owner, arguments[0]) if function.attr == "get" and arguments else HOLE
    name = dotted(function.value)
    if not isinstance(owner, list) or name not in reader.env or not arguments:
        return HOLE
    if function.attr == "append" and len(owner) < LONGEST:
        reader.env[name] = [*owner, arguments[0]], reader.env[name][1]
        return None
    reader.env[name] = HOLE, reader.env[name][1]
    return HOLE


def formatted(value: object, spec: str) -> object:
    """Return a constant under a format specification, the value itself where the two do not fit."""
    if not isinstance(value, str | int | float) or len(spec) > 20:  # noqa: PLR2004 - a width that fills memory
        return value
    try:
        return format(value, spec) if not _wide(spec) else value
    except (ValueError, TypeError, OverflowError):
        return value


def _wide(spec: str) -> bool:
    """Return whether `spec` asks for a width beyond three digits."""
    digits = "".join(each if each.isdigit() else " " for each in spec).split()
    return any(len(each) > 3 for each in digits)  # noqa: PLR2004 - 999 columns


def percent(template: str, values: object) -> object:
    """Return `template % values` with a hole for each unknown value."""
    given = list(values) if isinstance(values, tuple) else [values]
    pieces: list[object] = []
    position = 0
    while (start := template.find("%", position)) >= 0 and len(pieces) < LONGEST:
        end = start + 1
        while end < len(template) and template[end] in "0123456789.+-# ":
            end += 1
        pieces.append(template[position:start])
        position = end + 1
        if template[end : end + 1] == "%":
            pieces.append("%")
        elif given:
            kind = template[end : end + 1].replace("s", "").replace("i", "d")
            pieces.append(formatted(given.pop(0), template[start + 1 : end] + kind))
    return text_of([*pieces, template[position:]])


def filled(template: str, positional: Sequence[object], named: Mapping[str, object]) -> object:
    """Return `template.format(...)` with a hole for each field that is not known."""
    pieces: list[object] = []
    waiting = list(positional)
    for part in template.replace("{{", "\0").replace("}}", "\1").split("{"):
        inside, closed, after = part.partition("}")
        if not closed:
            pieces.append(part.replace("\0", "{").replace("\1", "}"))
            continue
        field, _, spec = inside.partition(":")
        value = _field(field, waiting, positional, named)
        pieces += [formatted(value, spec), after.replace("\0", "{").replace("\1", "}")]
    return text_of(pieces)


def _field(
    name: str, waiting: list[object], positional: Sequence[object], named: Mapping[str, object]
) -> object:
    if not name:
        return waiting.pop(0) if waiting else HOLE
    if name.isdecimal() and int(name[:4]) < len(positional):
        return positional[int(name[:4])]
    return named.get(name, HOLE)


__all__ = ["call", "filled", "formatted", "percent"]
