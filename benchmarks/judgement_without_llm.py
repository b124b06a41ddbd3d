"""What can be judged without a language model: `python -m benchmarks.judgement_without_llm`.

Each check gives a number per attempt, more for better work. Its AUC is the chance that a work that is right
gets more than one that is wrong: 0.5 says nothing. "Over all" compares any two attempts, and so also easy
tasks with hard ones; "within" compares attempts at the same task only, as one who chooses between them does.
No program is run. `agreement` needs other attempts at the task; all else looks at the one work.
"""

import ast
import builtins
import json
import re
import subprocess
import symtable
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks import datasets
from benchmarks.report import Table
from engramia.core.adversarial import detect
from engramia.core.similarity.features import features
from engramia.core.words import words

type Signals = NDArray[np.float64]
type Check = Callable[[str, str], float]

FOLDS = 5
_PENALTY = 1.0
_RESAMPLES = 200
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__"}
_PLACEHOLDER = re.compile(
    r"\[(?:file|regex|number|path|dir\w*|size|time\w*|perm\w*)\]|<\w+>|__[A-Z]+__|\bTODO\b"
)
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s|;&<>()]+")


@dataclass(frozen=True)
class Work:
    """One attempt: its task, the code, whether it is right, and the group that the task belongs to."""

    task: str
    code: str
    right: bool
    family: str


def parses(_task: str, code: str) -> float:
    """1 if the code is Python."""
    return float(_tree(code) is not None)


def names_defined(_task: str, code: str) -> float:
    """1 if every name that the code reads is defined in it or built in."""
    if _tree(code) is None:
        return 0.0
    table = symtable.symtable(code, "work", "exec")
    known = _BUILTINS | {symbol.get_name() for symbol in table.get_symbols() if not symbol.is_referenced()}
    known |= {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    read = {
        symbol.get_name()
        for scope in _scopes(table)
        for symbol in scope.get_symbols()
        if symbol.is_global() and symbol.is_referenced()
    }
    return float(read <= known)


def no_stub(_task: str, code: str) -> float:
    """1 if some function does more than pass or raise."""
    functions = _functions(code)
    empty = (ast.Pass, ast.Raise, ast.Expr)
    return float(any(not all(isinstance(each, empty) for each in f.body) for f in functions))


def parameters_used(_task: str, code: str) -> float:
    """Share of the parameters that their function reads."""
    shares = []
    for function in _functions(code):
        read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        shares += [float(each.arg in read) for each in function.args.args]
    return float(np.mean(shares)) if shares else 0.0


def ends_in_return(_task: str, code: str) -> float:
    """1 if the last statement of the first function returns a value, on both sides where it branches."""
    functions = _functions(code)
    return float(bool(functions) and _returns(functions[0].body))


def literals_found(task: str, code: str) -> float:
    """Share of the task's numbers, quoted texts and identifiers that stand in the code; 1 if it has none."""
    parsed = features(task)
    asked = {text.casefold() for text in parsed.literals | parsed.codes | parsed.numbers}
    return sum(text in code.casefold() for text in asked) / len(asked) if asked else 1.0


def literals_from_task(task: str, code: str) -> float:
    """Share of the code's arguments that are no options and stand in the task; 1 if it has none."""
    tokens = (token.strip("\"'") for token in _TOKEN.findall(code))
    given = [token for token in tokens if len(token) > 1 and re.search(r"[./\d$*]", token)]
    return sum(token in task for token in given) / len(given) if given else 1.0


def words_shared(task: str, code: str) -> float:
    """Share of the task's words that stand in the code."""
    asked = set(words(task))
    return len(asked & set(words(code))) / len(asked) if asked else 0.0


def shorter(_task: str, code: str) -> float:
    """Less of it."""
    return -float(np.log1p(len(code)))


def not_repeated(_task: str, code: str) -> float:
    """Share of the tokens that are not said twice."""
    tokens = code.split()
    return len(set(tokens)) / len(tokens) if tokens else 0.0


def shell_syntax(_task: str, code: str) -> float:
    """1 if `bash -n` takes the command; nothing is run."""
    done = subprocess.run(["bash", "-n"], input=code.encode(), capture_output=True, check=False, timeout=10)
    return float(done.returncode == 0)


def no_placeholder(_task: str, code: str) -> float:
    """1 if nothing is left to be filled in."""
    return float(_PLACEHOLDER.search(code) is None)


def not_adversarial(_task: str, code: str) -> float:
    """1 unless the output was hard-coded; these sets hold no outputs."""
    return float(not detect(code, None).adversarial)


PYTHON: tuple[Check, ...] = (
    parses,
    names_defined,
    no_stub,
    parameters_used,
    ends_in_return,
    literals_found,
    words_shared,
    shorter,
    not_adversarial,
)
SHELL: tuple[Check, ...] = (
    shell_syntax,
    no_placeholder,
    literals_found,
    literals_from_task,
    words_shared,
    not_repeated,
    shorter,
    not_adversarial,
)


def agreement(works: Sequence[Work]) -> Signals:
    """Return each work's mean cosine similarity, by counts of token pairs, to the others at its task."""
    counts = [Counter(pairwise(tokens)) for tokens in (_tokens(w.code) for w in works)]
    found = np.zeros(len(works))
    for rows in _by([work.task for work in works]).values():
        for row in rows:
            others = [_cosine(counts[row], counts[other]) for other in rows if other != row]
            found[row] = np.mean(others) if others else 0.0
    return found


def auc(values: Signals, right: NDArray[np.bool_]) -> float:
    """Return the chance that a right one has more than a wrong one, ties half (Mann and Whitney 1947)."""
    order = values.argsort(kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    _, inverse, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / sizes)[inverse]
    good = int(right.sum())
    if good in (0, len(values)):
        return float("nan")
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * (len(values) - good)))


def within(values: Signals, right: NDArray[np.bool_], groups: Sequence[Sequence[int]]) -> float:
    """Return the mean AUC over the groups that hold both right and wrong ones."""
    found = [auc(values[list(rows)], right[list(rows)]) for rows in groups]
    return float(np.nanmean(found))


def combined(signals: Signals, right: NDArray[np.bool_], families: Sequence[str]) -> Signals:
    """Return log-odds by logistic regression (ridge), each family told by the others: `FOLDS` folds."""
    folds = {name: place % FOLDS for place, name in enumerate(sorted(set(families)))}
    fold = np.array([folds[name] for name in families])
    found = np.zeros(len(signals))
    for number in range(FOLDS):
        train = fold != number
        mean, spread = signals[train].mean(0), signals[train].std(0)
        scaled = (signals - mean) / np.where(spread > 0, spread, 1)
        design = np.column_stack([scaled, np.ones(len(scaled))])
        weights = _logistic(design[train], right[train].astype(float))
        found[~train] = design[~train] @ weights
    return found


def interval(values: Signals, right: NDArray[np.bool_], families: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % interval of the AUC over families drawn with replacement."""
    rows = [np.array(group) for group in _by(families).values()]
    rng = np.random.default_rng(7)
    drawn = []
    for _ in range(_RESAMPLES):
        picked = np.concatenate([rows[place] for place in rng.integers(len(rows), size=len(rows))])
        drawn.append(auc(values[picked], right[picked]))
    return float(np.nanpercentile(drawn, 2.5)), float(np.nanpercentile(drawn, 97.5))


def run(table: Table) -> dict[str, object]:
    """Measure both sets."""
    code = [
        Work(row["task"], row["code"], row["passed"], row["family"])
        for row in datasets.rows("codegen_attempts")
        if not row["is_reference"]
    ]
    shell = [
        Work(row["task"], row["code"], row["command_ok"], row["family"])
        for row in datasets.rows("bash_judgements")
    ]
    return {
        "codegen_attempts": _measure("codegen_attempts: passed", code, PYTHON, table),
        "bash_judgements": _measure("bash_judgements: command_ok", shell, SHELL, table),
    }


def _measure(title: str, works: Sequence[Work], checks: Sequence[Check], table: Table) -> dict[str, object]:
    right = np.array([work.right for work in works])
    families = [work.family for work in works]
    groups = list(_by([work.task for work in works]).values())
    single = {check.__name__: np.array([check(w.task, w.code) for w in works]) for check in checks}
    static = combined(np.column_stack(list(single.values())), right, families)
    agreed = agreement(works)
    everything = combined(np.column_stack([*single.values(), agreed]), right, families)
    arms = single | {"all of these": static, "agreement": agreed, "all and agreement": everything}
    table.start(
        f"{title}, {right.sum()} of {len(works)} right", ["check", "over all", "95 %", "within a task"]
    )
    result: dict[str, object] = {"works": len(works), "right": int(right.sum())}
    for name, values in arms.items():
        low, high = interval(values, right, families)
        overall, inside = auc(values, right), within(values, right, groups)
        table.row(name, overall, f"{low:.3f}-{high:.3f}", inside)
        result[name] = {"auc": overall, "low": low, "high": high, "within": inside}
    return result


def _logistic(design: Signals, target: Signals) -> Signals:
    """Return ridge-penalised weights by Newton's method; the last column, the intercept, goes unpenalised."""
    ridge = np.diag([_PENALTY] * (design.shape[1] - 1) + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (target - chance) - ridge @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + ridge
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def _tree(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _functions(code: str) -> list[ast.FunctionDef]:
    tree = _tree(code)
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []


def _returns(body: Sequence[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _returns(last.body) and _returns(last.orelse)
    return isinstance(last, ast.Raise) or (isinstance(last, ast.Return) and last.value is not None)


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def _tokens(code: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", code)


def _cosine(left: Counter[tuple[str, str]], right: Counter[tuple[str, str]]) -> float:
    dot = sum(count * right[pair] for pair, count in left.items())
    norms = [sum(count * count for count in each.values()) for each in (left, right)]
    return dot / float(np.sqrt(norms[0] * norms[1])) if all(norms) else 0.0


def _by(names: Sequence[str]) -> dict[str, list[int]]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        groups[name].append(row)
    return groups


def main() -> int:
    """Print a table, and the figures as JSON."""
    if problem := datasets.missing():
        sys.stderr.write(f"{problem}\n")
        return 2
    sys.stdout.write(json.dumps(run(Table()), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
