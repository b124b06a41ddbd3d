"""Which failure texts tell of the same failure: signatures of error messages, clusters, the feedback join.

A text is first reduced to a signature, as error trackers and log parsers do. Either it names its own kind
(the class of an exception, an errno text, a code), or it is a template: its words once the variable parts
(quoted names, paths, numbers, identifiers) are masked. Equal kinds are one cluster; templates are grouped
around leaders by the overlap of their words.

Sources: masking before mining, He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree",
ICWS 2017; the shape `program: object: message`, GNU Coding Standards, "Formatting Error Messages"; errno
texts as glibc's `strerror` words them, and their exception classes, PEP 3151; classes that name a layer and
no cause, PEP 249; plurals, Harman, "How Effective Is Suffixing?", JASIS 1991; leaders, Hartigan,
"Clustering Algorithms", 1975.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engramia.core.words import jaccard, words

JOIN_ABOVE: Final = 0.4
"""Word overlap above which two feedback texts are one."""

_EXCERPT: Final = (
    2_000  # characters kept from each end of a long text: the claim and the last line of a traceback
)
_FEWEST_WORDS: Final = (
    2  # a template of fewer constant words says too little; its variable parts are kept then
)


@dataclass(frozen=True, slots=True)
class FailureText:
    """A failure text, how often it was seen (≥ 1), the mean eval score (0-10) of the runs it came from."""

    text: str
    count: int
    score: float | None


@dataclass(frozen=True, slots=True)
class FailureCluster:
    """Texts of one failure: members by count (the first represents them), count-weighted mean score."""

    representative: str
    members: tuple[str, ...]
    total_count: int
    avg_score: float | None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a text says failed: its `kind` where it names one, else the constant `words` of its template.

    `variable` says that parts were masked or that a program or an exception speaks: a machine's, not prose.
    """

    kind: str | None
    words: frozenset[str]
    variable: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Word overlap (0-1) above which two templates are one; machines repeat themselves closer than people."""

    message: float = 0.6
    prose: float = JOIN_ABOVE


def cluster(texts: Iterable[FailureText], *, min_count: int = 1) -> list[FailureCluster]:
    """Return the clusters of `texts` seen at least `min_count` times in total, most frequent first.

    Equal texts count together. The order of `texts` changes nothing: ties fall to the shorter text, then to
    the alphabet.
    """
    ranked = _ranked(texts)
    grouped: defaultdict[int, list[FailureText]] = defaultdict(list)
    for label, text in zip(group([signature(each.text) for each in ranked]), ranked, strict=True):
        grouped[label].append(text)
    clusters = [_clustered(members) for members in grouped.values()]
    kept = [each for each in clusters if each.total_count >= min_count]
    return sorted(kept, key=lambda each: (-each.total_count, each.representative))


def joins(left: str, right: str) -> bool:
    """Return whether two feedbacks count as one: equal words, or Jaccard > 0.4 and no two kinds of error."""
    left_words, right_words = words(left), words(right)
    if left_words == right_words:
        return True
    if jaccard(frozenset(left_words), frozenset(right_words)) <= JOIN_ABOVE:
        return False
    kinds = {signature(left).kind, signature(right).kind} - {None}
    return len(kinds) <= 1


def signature(text: str) -> Signature:
    """Return the signature of `text`, in time linear in its length; of a long text both ends are read."""
    lines = _lines(text)
    raised = _raised(lines)
    if raised and raised.name not in _LAYERS:
        return _kind(_ERRNO_CLASSES.get(raised.name, raised.name))
    body = raised.message if raised else " ".join(lines)
    told = _told([body] if raised else lines)
    return _kind(told) if told else template(body, spoken=raised is not None)


def template(body: str, *, spoken: bool = False) -> Signature:
    """Return the template of `body`: its words without who speaks, and without variable parts if enough stay.

    `spoken` says that an exception stood before `body`: it is a machine's message even if nothing was masked.
    """
    message = _message(body)
    masked = " ".join(word for word in _QUOTED.sub(" ", message).split() if not _VARIABLE.search(word))
    constant = _terms(masked)
    if len(constant) < _FEWEST_WORDS:
        constant = _terms(message) or _terms(body) or frozenset(words(body))
    variable = spoken or message != body or masked != " ".join(message.split())
    return Signature(None, constant, variable=variable)


def group(signatures: Sequence[Signature], thresholds: Thresholds | None = None) -> list[int]:
    """Return a label per signature, equal for one failure; earlier ones lead: pass the weightiest first."""
    keys = [each.kind or each.words for each in signatures]
    distinct: dict[frozenset[str], Signature] = {}
    for each in signatures:
        if each.kind is None:
            distinct.setdefault(each.words, each)
    leaders = _leaders(list(distinct.values()), thresholds or Thresholds())
    numbers: dict[str | frozenset[str], int] = {}
    return [numbers.setdefault(leaders.get(key, key), len(numbers)) for key in keys]


def _ranked(texts: Iterable[FailureText]) -> list[FailureText]:
    """Return each distinct text once, most frequent first: the order in which texts may lead a cluster."""
    same: defaultdict[str, list[FailureText]] = defaultdict(list)
    for each in texts:
        same[each.text].append(each)
    merged = [FailureText(text, sum(each.count for each in all_), _mean(all_)) for text, all_ in same.items()]
    return sorted(merged, key=lambda each: (-each.count, len(each.text), each.text))


def _clustered(members: Sequence[FailureText]) -> FailureCluster:
    """Return the cluster of `members`, which come ranked."""
    total = sum(each.count for each in members)
    return FailureCluster(members[0].text, tuple(each.text for each in members), total, _mean(members))


def _mean(texts: Sequence[FailureText]) -> float | None:
    """Return the count-weighted mean of the known scores; `fsum` is exact, so the same in every order."""
    known = [(each.score, each.count) for each in texts if each.score is not None and each.count > 0]
    weight = sum(count for _, count in known)
    return math.fsum(score * count for score, count in known) / weight if weight else None


def _leaders(
    templates: Sequence[Signature], thresholds: Thresholds
) -> dict[str | frozenset[str], frozenset[str]]:
    """Return for each template's words its leader's: the earlier leader that overlaps most, else itself.

    Leaders do not chain as single links do: every member overlaps the leader itself. Counting common words
    through an inverted index makes a template cost the lengths of its words' postings.
    """
    postings = _postings(templates)
    sizes = np.array([len(each.words) for each in templates], dtype=np.int64)
    bars = np.array([thresholds.message if each.variable else thresholds.prose for each in templates])
    leads = np.zeros(len(templates), dtype=np.bool_)
    leaders: dict[str | frozenset[str], frozenset[str]] = {}
    for index, template in enumerate(templates):
        overlaps = _overlaps(template.words, postings, sizes)
        overlaps[~leads | (overlaps <= np.maximum(bars, bars[index]))] = 0.0
        best = int(overlaps.argmax())
        leads[index] = not overlaps[best]
        leaders[template.words] = template.words if leads[index] else templates[best].words
    return leaders


def _postings(templates: Sequence[Signature]) -> dict[str, npt.NDArray[np.int64]]:
    """Return for each word the indices of the templates that hold it."""
    lists: defaultdict[str, list[int]] = defaultdict(list)
    for index, template in enumerate(templates):
        for word in template.words:
            lists[word].append(index)
    return {word: np.array(indices, dtype=np.int64) for word, indices in lists.items()}


def _overlaps(
    wanted: frozenset[str], postings: dict[str, npt.NDArray[np.int64]], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the Jaccard overlap of `wanted` with each template, 0 to 1."""
    if not wanted:
        return np.zeros(len(sizes))
    shared = np.bincount(np.concatenate([postings[word] for word in wanted]), minlength=len(sizes))
    return shared / (sizes + len(wanted) - shared)


# Reading one text: the exception it ends with, the errno text or code it tells, or its template.

_EXCEPTION = re.compile(
    r"""^\W*(?:uncaught\s|unhandled\s|caused\ by:\s|exception\ in\ thread\s"[^"]*"\s)*  # runtimes
    (?:\w+\.)*(?-i:(?P<name>[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Iteration)))  # a class
    (?:[:(]|\s|$)(?P<message>.*)""",
    re.VERBOSE | re.IGNORECASE,
)


def _listed(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Classes that say which layer failed and leave the cause to the message.
_LAYERS: Final = _listed("""
    RuntimeError RuntimeException OSError IOError IOException EnvironmentError SystemError BaseException
    CalledProcessError DatabaseError OperationalError ProgrammingError InternalError SQLException
""")
_ERRNO_CLASSES: Final = {
    "FileNotFoundError": "no such file or directory",
    "FileExistsError": "file exists",
    "IsADirectoryError": "is a directory",
    "NotADirectoryError": "not a directory",
    "PermissionError": "permission denied",
    "BrokenPipeError": "broken pipe",
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset by peer",
    "ProcessLookupError": "no such process",
}
_PHRASE: Final = (
    "no such file or directory|file exists|is a directory|not a directory|directory not empty"
    "|permission denied|operation not permitted|read-only file system|no space left on device"
    "|disk quota exceeded|file too large|file name too long|too many levels of symbolic links"
    "|too many open files|text file busy|bad file descriptor|input/output error|no such device"
    "|device or resource busy|invalid cross-device link|broken pipe|no such process"
    "|cannot allocate memory|argument list too long|exec format error|address already in use"
    "|connection refused|connection reset by peer|connection timed out|network is unreachable"
    "|no route to host|command not found"
)
_PROGRAM = re.compile(r"[a-z./][^\s:]*(?: \([a-z ]+\))?:\s")
# Prose may say that a path "is a directory"; a system says so after a colon, a bracket or the program's name.
_TOLD = re.compile(rf"(?:^|[:(\]]\s*)({_PHRASE})\b", re.IGNORECASE)
_TOLD_BY_PROGRAM = re.compile(rf"\b({_PHRASE})\b", re.IGNORECASE)
# As dash and as the Windows shell say it.
_NO_COMMAND = re.compile(
    r"^[a-z./][^\s:]*: .*: not found$|is not recognized as an internal or external command", re.IGNORECASE
)
_CODE = re.compile(
    r"""\bSQLSTATE\W{0,2}([0-9A-Z]{5})\b           # SQLSTATE[42S02]
    |\berror(?:\scode)?\W{0,2}([A-Z]{0,3}\d{3,5})\b  # ERROR 1146 (42S02), error[E0425], error TS2304
    |\b(ORA-\d{5})\b
    |\b(?:HTTP(?:/\d(?:\.\d)?)?|status(?:\scode)?)\W{1,2}([1-5]\d\d)\b  # HTTP/1.1 503, status code: 429
    |^\W*\((\d{3,5}),\s["']""",  # (1146, "Table …"), as PyMySQL prints it
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Raised:
    name: str
    message: str


def _lines(text: str) -> list[str]:
    """Return the lines of `text` that hold anything, of a long text those near its two ends."""
    excerpt = text if len(text) <= 2 * _EXCERPT else f"{text[:_EXCERPT]}\n{text[-_EXCERPT:]}"
    return [line.strip() for line in excerpt.splitlines() if line.strip()]


def _raised(lines: Sequence[str]) -> _Raised | None:
    """Return the last exception that a line begins with: where tracebacks end, and the root of a chain."""
    for line in reversed(lines):
        if match := _EXCEPTION.match(line):
            return _Raised(match["name"], match["message"])
    return None


def _told(lines: Sequence[str]) -> str | None:
    """Return the code or the errno text that the first such line tells."""
    for line in lines:
        if code := _CODE.search(line):
            return code[code.lastindex or 0].upper()
        if phrase := (_TOLD_BY_PROGRAM if _PROGRAM.match(line) else _TOLD).search(line):
            return phrase[1].lower()
        if _NO_COMMAND.search(line):
            return "command not found"
    return None


def _kind(name: str) -> Signature:
    return Signature(name, frozenset(), variable=True)


_SEGMENT = re.compile(r":\s+")
_PREFIX = re.compile(r"\S+|line \d+", re.IGNORECASE)
_QUOTED = re.compile(
    r"""(?<!\w)[`'\u2018]{1,2}[^'`\u2019\n]*['`\u2019]{1,2}(?!\w)|"[^"\n]*"|\u201c[^\u201d\n]*\u201d"""
)
# Digits, underscores, inner dots, camelCase, signs of code, paths, options.
_VARIABLE = re.compile(r"\d|_|\w\.\w|[a-z][A-Z]|[$@{}=\\<>*]|^\W?[~.]{0,2}/|/.*/|^--?\w")


def _message(body: str) -> str:
    """Return `body` without the program, the file, the line or the label ("Error:") that it begins with."""
    segments = _SEGMENT.split(body)
    begin = 0
    while begin < len(segments) - 1 and _PREFIX.fullmatch(segments[begin]):
        begin += 1
    return ": ".join(segments[begin:]) if begin else body


_CONTRACTION = re.compile(r"n['\u2019]t\b|(?<=\bcan)not\b", re.IGNORECASE)
# Articles, pronouns, auxiliaries and prepositions; negations stay: they are what failures are told with.
_FUNCTION_WORDS: Final = _listed("""
    a an and are as at be been but by did do does for from had has have if in into is it its of on
    or so such t than that the their then there these this to was were when where which while with
    you your
""")
# Words that error messages use for one another: `invalid option`, `unrecognized flag`, `missing operand`.
_CONCEPTS: Final = {
    **dict.fromkeys(_listed("illegal malformed unknown unrecognized unrecognised unsupported"), "invalid"),
    **dict.fromkeys(_listed("lacking lacks require required requires"), "missing"),
    **dict.fromkeys(_listed("operand parameter"), "argument"),
    **dict.fromkeys(_listed("flag switch"), "option"),
}
_CONCEPT_NAMES: Final = frozenset(_CONCEPTS.values())
_SUFFIXES: Final = ("ation", "ated", "ating", "ate", "ion", "ing", "ed", "ly", "e")
_SHORTEST_STEM: Final = 4


def _terms(text: str) -> frozenset[str]:
    """Return the words of `text` that bear meaning, by stem and concept."""
    spoken = words(_CONTRACTION.sub(" not", text))
    return frozenset(_term(word) for word in spoken if word not in _FUNCTION_WORDS)


def _term(word: str) -> str:
    singular = _CONCEPTS.get(word) or _singular(word)
    concept = _CONCEPTS.get(singular, singular)
    return concept if concept in _CONCEPT_NAMES else _stem(concept)


def _singular(word: str) -> str:
    """Return `word` without a plural ending (Harman's S-stemmer)."""
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss", "is")):
        return word[:-1]
    return word


def _stem(word: str) -> str:
    """Return `word` without one ending, so that `validate`, `validated` and `validation` meet."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return word.removesuffix(suffix)
    return word
