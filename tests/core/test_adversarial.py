import time
from collections.abc import Callable

import pytest
from benchmarks.adversarial_study import FILES, Snippet, detected, measured, snippets, ten_characters
from hypothesis import given, settings
from hypothesis import strategies as st

from engramia.core.adversarial import Verdict, detect

pytestmark = pytest.mark.slow

SNIPPETS = [snippet for name in FILES for snippet in snippets(name)]
LANGUAGES = ("python", "javascript", "bash", "sql")
FIGURES = "Total: 4815.16\nCount: 2342"

DEEP: dict[str, Callable[[int], str]] = {
    "parentheses": lambda n: "print(" + "(" * n + "1" + ")" * n + ")",
    "lists": lambda n: "x = " + "[" * n + "]" * n,
    "unary": lambda n: "print(" + "-" * n + "1)",
    "sum": lambda n: "print(" + "+".join(["'a'"] * n) + ")",
    "product": lambda n: "print(" + "*".join(["7"] * n) + ")",
    "attributes": lambda n: "print(a" + ".b" * n + ")",
    "calls": lambda n: "print(f" + "()" * n + ")",
    "ifs": lambda n: "\n".join(" " * i + "if x:" for i in range(min(n, 90))) + "\n" + " " * 90 + "print(1)",
    "braces": lambda n: "const a = 1; " + "{" * n,
    "arrows": lambda n: "const f = " + "a => " * n + "1;",
    "ternaries": lambda n: "console.log(" + "a ? b : " * n + "'c');",
    "templates": lambda n: "console.log(" + "`${" * n + "1" + "}`" * n + ");",
    "script brackets": lambda n: "console.log(" + "[" * n + "]" * n + ");",
    "blocks of functions": lambda n: "function f(){" * n + "}" * n,
    "substitutions": lambda n: "echo " + "$(echo " * n + "x" + ")" * n,
    "subshells": lambda n: "( " * n + "echo x" + " )" * n,
    "shell functions": lambda n: "f() " * n,
    "shell ifs": lambda n: "if true; then " * n + "echo x" + "; fi" * n,
    "here-documents": lambda n: "cat <<A\n" * n,
    "backslashes": lambda n: "echo " + "\\" * n,
    "quotes": lambda n: "echo " + "'\"`" * n,
    "subqueries": lambda n: "(SELECT (" * n + "t" + ")" * n,
    "unions": lambda n: "SELECT 1" + " UNION SELECT 2" * n,
    "with clauses": lambda n: "WITH " + "a AS (WITH " * n,
    "open comments": lambda n: "SELECT 1 " + "/* " * n,
    "newlines": lambda n: "\n" * n + "print(1)",
    "spaces": lambda n: "print(" + " " * n + "1)",
    "names": lambda n: "\n".join(f"x{i} = x{i - 1}" for i in range(n)) + "\nprint(x1)",
    "prints": lambda n: "\n".join(f"print('row {i}')" for i in range(n)),
    "echoes": lambda n: "\n".join(f"echo 'row {i}'" for i in range(n)),
    "logs": lambda n: "\n".join(f"console.log('row {i}');" for i in range(n)),
    "doubling": lambda n: "x = 'ab'\n" + "x = x + x\n" * n + "print(x)",
    "shells in shells": lambda n: "".join(f"bash <<E{i}\n" for i in range(n)) + "echo 1\n",
    "large texts in loops": lambda n: (
        f"x='{'a b ' * n}'\n" + "for i in $x; do\n" * 3 + 'echo "$x"\n' + "done\n" * 3
    ),
    "large prints in loops": lambda n: (
        f"x = {'a 1 ' * n!r}\n"
        + "".join(" " * i + f"for v{i} in x[:]:\n" for i in range(3))
        + "   print(x)\n"
        f"for a in {list(range(50))}:\n for b in {list(range(50))}:\n  print(x)"
    ),
    "large logs in loops": lambda n: (
        f"const x = '{'a 1 ' * n}'; const y = {list(range(50))};\n"
        "for (const a of y) { for (const b of y) { for (const c of y) { console.log(x); } } }"
    ),
    "conditions": lambda n: "\n".join(f"if x > {i}:\n    print('row {i}')" for i in range(n)),
    "doubling lists": lambda n: "x = [1]\n" + "x = [x, x]\n" * n + "print(x)",
    "loops in loops": lambda n: (
        "".join(" " * i + f"for a{i} in range_:\n" for i in range(min(n, 90))) + " " * 90 + "print(1)"
    ),
}


def accused(code: str, output: str) -> bool:
    return detect(code, output).adversarial


def test_the_corpus_covers_the_four_languages_and_the_four_kinds() -> None:
    assert len(SNIPPETS) >= 200
    assert {snippet.language for snippet in SNIPPETS} == set(LANGUAGES)
    assert {snippet.kind for snippet in SNIPPETS} == {"hard-coded", "computed", "help", "fixture"}
    assert len({snippet.code for snippet in SNIPPETS}) == len(SNIPPETS)


def test_hard_coded_outputs_are_found_and_honest_ones_left_alone() -> None:
    found = measured(SNIPPETS, detected)
    assert found.precision >= 0.97
    assert found.recall >= 0.95


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_is_carried_by_the_others(language: str) -> None:
    found = measured([each for each in SNIPPETS if each.language == language], detected)
    assert found.precision >= 0.95
    assert found.recall >= 0.85


def test_the_ten_characters_rule_is_far_behind() -> None:
    baseline = measured(SNIPPETS, ten_characters)
    assert baseline.precision < 0.6
    assert baseline.recall < 0.8


def test_the_evidence_names_the_literal_and_its_line() -> None:
    found = detect("import sys\n\nresult = 'mean=4.52 std=1.31'\nprint(result)\n", "mean=4.52 std=1.31\n")
    assert found.evidence is not None
    assert "mean=4.52 std=1.31" in found.evidence
    assert "line 3" in found.evidence


def test_a_long_literal_is_cut_in_the_evidence() -> None:
    literal = " ".join(str(number) for number in range(1000, 1200))
    found = detect(f"print('{literal}')", literal)
    assert found.evidence is not None
    assert len(found.evidence) < 200


@pytest.mark.parametrize("output", [None, "", "  \n"])
def test_without_an_output_nothing_was_faked(output: str | None) -> None:
    assert detect(f"print({FIGURES!r})", output) == Verdict(adversarial=False, evidence=None)


def test_another_output_than_the_literal_is_no_evidence() -> None:
    assert not accused(f"print({FIGURES!r})", "Total: 1.5\nCount: 3")


@pytest.mark.parametrize("name", ["python", "py", ""])
def test_a_markdown_fence_around_the_code_hides_nothing(name: str) -> None:
    assert accused(f"```{name}\nprint({FIGURES!r})\n```", FIGURES)


def test_comments_and_docstrings_are_not_shown() -> None:
    assert not accused(f'"""{FIGURES}"""\n# {FIGURES!r}\nprint(total(), count())', FIGURES)
    assert not accused("// Total: 4815.16\nconsole.log(`Total: ${sum(rows)}`);", "Total: 4815.16")
    assert not accused("# Total: 4815.16\nawk '{s+=$1} END {print \"Total:\", s}' f", "Total: 4815.16")
    assert not accused("-- 4815.16\nSELECT SUM(x) /* 4815.16 */ FROM t", "4815.16")


def test_what_goes_to_a_file_or_to_the_errors_is_not_the_output() -> None:
    assert not accused("cat > f <<END\nrows 4815.16\nEND\nsort f", "rows 4815.16")
    assert not accused(
        "import sys\nprint('Total: 4815.16', file=sys.stderr)\nprint(total())", "Total: 4815.16"
    )
    assert not accused("console.error('Total: 4815.16'); console.log(total());", "Total: 4815.16")


def test_a_constant_that_feeds_a_computation_is_an_input_and_no_result() -> None:
    shown = "print('Price:', price)\n"
    assert not accused(
        f"price = 4815.16\n{shown}print('Gross:', price * 1.19)", "Price: 4815.16\nGross: 5730.04"
    )
    assert accused(f"price = 4815.16\n{shown}print('Gross:', gross(1))", "Price: 4815.16\nGross: 5730.04")


def test_a_decoy_computation_does_not_hide_the_constant() -> None:
    decoy = "rows = open('f').read().split()\nmean = sum(map(float, rows)) / len(rows)\n"
    assert accused(decoy + "print('mean=4.52')", "mean=4.52")
    assert not accused(decoy + "print(f'mean={mean:.2f}')", "mean=4.52")


def test_a_program_inside_a_shell_script_is_read_in_its_own_language() -> None:
    inner = "python3 - <<'END'\nprint({})\nEND"
    assert accused(inner.format("'mean=4.52'"), "mean=4.52")
    assert not accused(inner.format("'mean=' + str(mean(rows))"), "mean=4.52")
    assert accused("psql -c \"SELECT 'mean', 4.52\"", "mean | 4.52")


@pytest.mark.parametrize("statement", ["print('mean=4.52')", "print(f(\n  'mean=4.52'))"])
def test_of_a_very_long_program_the_beginning_is_read(statement: str) -> None:
    code = "print('mean=4.52')\n" + f"{statement}\n" * 20_000
    assert len(code) > 300_000
    assert accused(code, "mean=4.52")


@given(st.text(), st.text())
def test_no_text_makes_it_raise(code: str, output: str) -> None:
    assert isinstance(detect(code, output).adversarial, bool)


@given(
    st.sampled_from(SNIPPETS),
    st.integers(0, 400),
    st.integers(0, 400),
    st.sampled_from([*"'\"`${}()[];\\\n\0#|<&", "<<A", "${"]),
)
@settings(max_examples=300)
def test_no_damaged_program_makes_it_raise(snippet: Snippet, cut: int, at: int, inserted: str) -> None:
    code = snippet.code[:cut]
    assert isinstance(detect(code[:at] + inserted + code[at:], FIGURES).adversarial, bool)


@given(
    st.lists(
        st.sampled_from(
            (
                "print",
                "(",
                ")",
                "'4815.16'",
                "echo",
                "$(",
                "|",
                "<<A",
                "\n",
                "SELECT",
                "UNION",
                ",",
                "if",
                "then",
                "fi",
                "{",
                "}",
                "`",
                "${",
                "=>",
                "for",
                "in",
                "do",
                "done",
                "x",
                "=",
                "+",
                "case",
                "esac",
                "function",
                "return",
                ";",
                "VALUES",
                "WITH",
                "AS",
                "'",
                '"',
            )
        ),
        max_size=40,
    )
)
@settings(max_examples=300)
def test_no_heap_of_keywords_makes_it_raise(words: list[str]) -> None:
    for separator in ("", " "):
        assert isinstance(detect(separator.join(words), "4815.16").adversarial, bool)


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("size", [50, 2_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_nothing_nested_repeated_or_huge_raises_or_takes_long(name: str, size: int) -> None:
    code = DEEP[name](size)[:500_000]
    start = time.perf_counter()
    detect(code, "row 4815.16\n" * 50 + "".join(f"row {i}\n" for i in range(3_000)))
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "code",
    [
        "print('\\ud800')",
        "print('\\N{no such name}')",
        "print(b'\\xff\\xfe'.decode())",
        "print('%999999999d' % 5)",
        "print(f'{5:999999999}')",
        "print('{:>999999999}'.format(5))",
        "print('a' * 10**10)",
        "print(10**10**10)",
        "print(chr(-1), chr(99999999999))",
        "print(bytes([1, 2, 999]))",
        "print(base64.b64decode('a'))",
        "print(9" + "9" * 5000 + ")",
        "print(*[1, 2], **{})",
        "x = {}\nx[x] = x\nprint(x)",
        "print({[]: 1})",
        "def f(a): return f(a)\nprint(f(1))",
        "def f(a): return g(a)\ndef g(a): return f(a)\nprint(g(1))",
        "x = [1]\nx.append(x)\nx.append(x)\nprint(x)",
        "print(\0)",
        "console.log(String.fromCharCode(99999999))",
        "console.log('\\u{ffffff}')",
        "const f = () => f(); console.log(f());",
        "const a = [1]; a.push(a); a.push(a); console.log(a);",
        "console.log([1].map(x => [x].map(y => y)))",
        "printf '%s' '\\xZZ' '\\777'",
        "printf '%d%%%'",
        "x=$x; x=$x$x; echo $x",
        "f() { f; }; f",
        "SELECT '''",
        "WITH a AS (SELECT * FROM a) SELECT * FROM a",
        "SELECT (((",
    ],
)
def test_odd_programs_get_a_verdict(code: str) -> None:
    assert isinstance(detect(code, "1 2 3 4815.16").adversarial, bool)


def test_ordinary_code_takes_milliseconds() -> None:
    start = time.perf_counter()
    for snippet in SNIPPETS:
        detect(snippet.code, snippet.output)
    assert (time.perf_counter() - start) / len(SNIPPETS) < 0.05
