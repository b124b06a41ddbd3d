"""The operations on a memory, one row each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from engramia.core import documents
from engramia.core.model import OnDuplicate
from engramia.errors import EngramiaError, ValidationError
from engramia.memory import compose as composing
from engramia.memory import evaluate as judging
from engramia.memory import evolve as evolving
from engramia.memory import learn as learning
from engramia.memory import recall as recalling
from engramia.memory.facade import Memory
from engramia.server.kit.lanes import Lane
from engramia.server.kit.operations import Asked, Document, JobForm, NoBody, OnceForm, Operation
from engramia.server.kit.permissions import Permission
from engramia.server.kit.redacting import redacted
from engramia.server.kit.schemas import Request
from engramia.server.memory import examples, importing, schemas

MEMORY, QUALITY, SKILLS, UPKEEP, TRANSFER = "memory", "quality", "skills", "upkeep", "transfer"


def _learn(memory: Memory, asked: Asked[schemas.LearnRequest]) -> Document:
    return documents.learn_document(memory.learn(**asked.body.model_dump(), author=asked.author))


def _run(memory: Memory, asked: Asked[schemas.LearnRequest]) -> tuple[learning.Run, OnDuplicate]:
    values = asked.body.model_dump()
    on_duplicate = OnDuplicate(values.pop("on_duplicate"))
    return learning.check_run(memory.engine, **values, author=asked.author), on_duplicate


def _learn_many(
    memory: Memory, asked: Sequence[Asked[schemas.LearnRequest]]
) -> Sequence[Document | Exception]:
    return _together(
        asked,
        lambda one: _run(memory, one),
        lambda runs: learning.learn_many(memory.engine, runs),
        documents.learn_document,
    )


def _together[A, Q, R](
    asked: Sequence[A],
    prepare: Callable[[A], Q],
    answer: Callable[[Sequence[Q]], Sequence[R | EngramiaError]],
    document: Callable[[R], Document],
) -> Sequence[Document | Exception]:
    """Return what `answer` has for all that `prepare` does not refuse, each in its place."""
    outcomes: list[Document | Exception] = [{}] * len(asked)
    prepared = dict[int, Q]()
    for place, one in enumerate(asked):
        try:
            prepared[place] = prepare(one)
        except ValidationError as error:
            outcomes[place] = error
    answers = answer(list(prepared.values())) if prepared else ()
    for place, found in zip(prepared, answers, strict=True):
        outcomes[place] = found if isinstance(found, EngramiaError) else document(found)
    return outcomes


def _query(body: schemas.RecallRequest) -> recalling.Query:
    wanted = dict(vars(body))
    chosen = recalling.check_filter(
        **{name: wanted.pop(name) for name in ("classification", "source", "min_score")}
    )
    return recalling.Query(**wanted, filter=chosen)


def _recall(memory: Memory, asked: Asked[schemas.RecallRequest]) -> Document:
    return documents.recall_document(memory.recall(**asked.body.model_dump()))


def _recall_many(
    memory: Memory, asked: Sequence[Asked[schemas.RecallRequest]]
) -> Sequence[Document | Exception]:
    return _together(
        asked,
        lambda one: _query(one.body),
        lambda queries: recalling.recall_many(memory.engine, queries),
        documents.recall_document,
    )


def _refine(memory: Memory, asked: Asked[schemas.RefineRequest]) -> Document:
    record = memory.refine_pattern(asked.key, asked.body.eval_score, asked.body.feedback)
    return documents.record_document(record)


def _evaluate(memory: Memory, asked: Asked[schemas.EvaluateRequest]) -> Document:
    body = asked.body
    assignment = _assignment(memory, body)
    if isinstance(body, schemas.PreparedEvaluation):
        assignment = replace(assignment, adversarial=body.adversarial)
    return documents.evaluation_document(judging.evaluate(memory.engine, assignment))


def _assignment(memory: Memory, body: schemas.EvaluateRequest) -> judging.Assignment:
    return judging.check_assignment(
        memory.engine,
        task=body.task,
        code=body.code,
        output=body.output,
        num_evals=body.num_evals,
        pattern_key=body.pattern_key,
        jury=None,
    )


def _prepare_evaluation(memory: Memory, body: schemas.EvaluateRequest) -> schemas.EvaluateRequest:
    assignment = _assignment(memory, body)
    if assignment.pattern_key is not None:
        memory.get_pattern(assignment.pattern_key)
    clean = redacted(memory.engine.clean, body)
    return schemas.PreparedEvaluation(**clean.model_dump(), adversarial=assignment.adversarial)


def _compose(memory: Memory, asked: Asked[schemas.ComposeRequest]) -> Document:
    return documents.pipeline_document(memory.compose(asked.body.task))


def _evolve(memory: Memory, asked: Asked[schemas.EvolveRequest]) -> Document:
    body = asked.body
    evolution = memory.evolve_prompt(body.role, body.current_prompt, num_issues=body.num_issues)
    return documents.evolution_document(evolution)


def _analyze_failures(memory: Memory, asked: Asked[schemas.AnalyzeFailuresRequest]) -> Document:
    return documents.clusters_document(memory.analyze_failures(min_count=asked.body.min_count))


def _age(memory: Memory, asked: Asked[NoBody]) -> Document:
    del asked
    return {"pruned": memory.run_aging()}


def _decay_feedback(memory: Memory, asked: Asked[NoBody]) -> Document:
    del asked
    return {"pruned": memory.run_feedback_decay()}


def _register_skills(memory: Memory, asked: Asked[schemas.RegisterSkillsRequest]) -> Document:
    tags = memory.register_skills(asked.body.pattern_key, asked.body.skills)
    return {"registered": len(tags), "skills": list(tags)}


def _search_skills(memory: Memory, asked: Asked[schemas.SearchSkillsRequest]) -> Document:
    body = asked.body
    wanted = body.skills if body.skills is not None else body.required
    if not wanted:
        raise ValidationError("skills must name at least one tag.", field="skills")
    found = memory.find_by_skills(wanted, match_all=body.match_all, limit=body.limit, offset=body.offset)
    return documents.recall_document(found)


def _redact[B: Request](memory: Memory, body: B) -> B:
    return redacted(memory.engine.clean, body)


def _prepare_composition(memory: Memory, body: schemas.ComposeRequest) -> schemas.ComposeRequest:
    composing.check_task(memory.engine, body.task)
    return _redact(memory, body)


def _prepare_evolution(memory: Memory, body: schemas.EvolveRequest) -> schemas.EvolveRequest:
    evolving.check_commission(role=body.role, current_prompt=body.current_prompt, num_issues=body.num_issues)
    return _redact(memory, body)


LEARN = Operation(
    name="learn",
    path="/v1/learn",
    tag=MEMORY,
    summary="Store an agent run",
    description="Stores a run as a pattern. Secrets and personal data are redacted before anything is kept. "
    "Where a near-identical task is stored already, `on_duplicate` decides.",
    permission=Permission.LEARN,
    request=schemas.LearnRequest,
    response=schemas.LearnAnswer,
    run=_learn,
    run_many=_learn_many,
    once=OnceForm(),
    example=examples.LEARN,
    answer=examples.LEARNED,
)

RECALL = Operation(
    name="recall",
    path="/v1/recall",
    tag=MEMORY,
    summary="Find patterns for a task",
    description="Returns the stored patterns that fit a task, best first, and how far each can be trusted.",
    permission=Permission.RECALL,
    request=schemas.RecallRequest,
    response=schemas.RecallAnswer,
    run=_recall,
    run_many=_recall_many,
    example=examples.RECALL,
    answer=examples.RECALLED,
)

REFINE = Operation(
    name="refine",
    path="/v1/patterns/{key:path}/refine",
    tag=MEMORY,
    summary="Judge a pattern that was used",
    description="Adds a quality observation to a pattern; what was said is counted as feedback.",
    permission=Permission.REFINE,
    request=schemas.RefineRequest,
    response=schemas.RecordBody,
    run=_refine,
    may_miss=True,
    example=examples.REFINE,
    answer=examples.RECORD,
)

EVALUATE = Operation(
    name="evaluate",
    path="/v1/evaluate",
    tag=QUALITY,
    summary="Have code judged",
    description="Asks several independent judges at once how good code is for a task. The feedback is kept.",
    permission=Permission.EVALUATE,
    request=schemas.EvaluateRequest,
    response=schemas.EvaluateAnswer,
    run=_evaluate,
    lane=Lane.MODEL,
    needs_llm=True,
    job=JobForm(_prepare_evaluation, schemas.PreparedEvaluation),
    once=OnceForm(lease=timedelta(minutes=2)),
    may_miss=True,
    example=examples.EVALUATE,
    answer=examples.EVALUATED,
)

COMPOSE = Operation(
    name="compose",
    path="/v1/compose",
    tag=QUALITY,
    summary="Split a task into stages",
    description="Splits a task into a pipeline, finds the best pattern for each stage, and checks who reads "
    "what. A broken contract is told in `contract_errors`.",
    permission=Permission.COMPOSE,
    request=schemas.ComposeRequest,
    response=schemas.ComposeAnswer,
    run=_compose,
    lane=Lane.MODEL,
    needs_llm=True,
    job=JobForm(_prepare_composition, schemas.ComposeRequest),
    example=examples.COMPOSE,
    answer=examples.COMPOSED,
)

EVOLVE = Operation(
    name="evolve",
    path="/v1/evolve",
    tag=QUALITY,
    summary="Improve a prompt",
    description="Improves an agent's prompt by the issues that recur in its feedback.",
    permission=Permission.EVOLVE,
    request=schemas.EvolveRequest,
    response=schemas.EvolveAnswer,
    run=_evolve,
    lane=Lane.MODEL,
    needs_llm=True,
    job=JobForm(_prepare_evolution, schemas.EvolveRequest),
    example=examples.EVOLVE,
    answer=examples.EVOLVED,
)

ANALYZE_FAILURES = Operation(
    name="analyze_failures",
    path="/v1/analyze-failures",
    tag=QUALITY,
    summary="Cluster recurring failures",
    description="Groups the failure texts of the feedback store, the most frequent first.",
    permission=Permission.ANALYZE_FAILURES,
    request=schemas.AnalyzeFailuresRequest,
    response=schemas.AnalyzeFailuresAnswer,
    run=_analyze_failures,
    lane=Lane.BULK,
    example=examples.ANALYZE_FAILURES,
    answer=examples.FAILURES,
)

AGING = Operation(
    name="aging",
    path="/v1/aging",
    tag=UPKEEP,
    summary="Let patterns age",
    description="Lets every score fade by 2 % a week since it last did, and prunes patterns under 0.1.",
    permission=Permission.AGING,
    request=NoBody,
    response=schemas.Pruned,
    run=_age,
    lane=Lane.BULK,
    job=JobForm(_redact, NoBody),
    answer=examples.PRUNED,
)

FEEDBACK_DECAY = Operation(
    name="feedback_decay",
    path="/v1/feedback/decay",
    tag=UPKEEP,
    summary="Let feedback fade",
    description="Lets every issue fade by 10 % a week since it last did, and prunes those under 0.15.",
    permission=Permission.FEEDBACK_DECAY,
    request=NoBody,
    response=schemas.Pruned,
    run=_decay_feedback,
    lane=Lane.BULK,
    job=JobForm(_redact, NoBody),
    answer=examples.PRUNED,
)

REGISTER_SKILLS = Operation(
    name="register_skills",
    path="/v1/skills/register",
    tag=SKILLS,
    summary="Tag a pattern",
    description="Puts these tags in place of the pattern's.",
    permission=Permission.SKILLS_REGISTER,
    request=schemas.RegisterSkillsRequest,
    response=schemas.RegisterSkillsAnswer,
    run=_register_skills,
    may_miss=True,
    example=examples.REGISTER_SKILLS,
    answer=examples.REGISTERED,
)

SEARCH_SKILLS = Operation(
    name="search_skills",
    path="/v1/skills/search",
    tag=SKILLS,
    summary="Find patterns by tags",
    description="Returns patterns that have any (or all) of the tags, best score first, with similarity 1.",
    permission=Permission.SKILLS_SEARCH,
    request=schemas.SearchSkillsRequest,
    response=schemas.RecallAnswer,
    run=_search_skills,
    example=examples.SEARCH_SKILLS,
    answer=examples.RECALLED,
)

IMPORT = Operation(
    name="import",
    path="/v1/import",
    tag=TRANSFER,
    summary="Import patterns",
    description="Stores the records of an export, redacted and embedded again. A bad record is reported "
    "with its reason, and the rest goes in together, all or nothing: while thousands of "
    "records are written, nothing else can be stored in the project for seconds. Ask for a "
    "large import as a job (`Prefer: respond-async`): it goes in batch by batch, others "
    "store in between, and if its worker dies, another goes on where it was. The job's "
    "`progress` says how far it is; what a job that failed or was cancelled has brought in "
    "stays in.",
    permission=Permission.IMPORT,
    request=schemas.ImportRequest,
    response=schemas.ImportAnswer,
    run=importing.import_whole,
    lane=Lane.BULK,
    job=JobForm(importing.prepare, schemas.ImportRequest, importing.import_part),
    once=OnceForm(lease=timedelta(minutes=5), in_short=importing.in_short),
    audited="import.done",
    example=examples.IMPORT,
    answer=examples.IMPORTED,
)

OPERATIONS: tuple[Operation[Any], ...] = (
    LEARN,
    RECALL,
    REFINE,
    EVALUATE,
    COMPOSE,
    EVOLVE,
    ANALYZE_FAILURES,
    AGING,
    FEEDBACK_DECAY,
    REGISTER_SKILLS,
    SEARCH_SKILLS,
    IMPORT,
)
