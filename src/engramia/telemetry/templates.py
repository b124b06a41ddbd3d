"""Which route a path belongs to: the closed set that paths are counted under."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount, compile_path
from starlette.types import Scope

UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A path with parameters; None for `methods` means all."""

    regex: re.Pattern[str]
    template: str
    methods: Collection[str] | None


class Templates:
    """Finds the template of a request's path, `/v1/jobs/{job_id}`, by itself.

    The router tells what it chose, but only of requests that came as far; those that authentication or a rate
    limit turned away have a template, too.
    """

    def __init__(self, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        """Take the routes from `routes`, such as `lambda: app.routes`, at the first request."""
        self._routes = routes
        self._fixed: dict[str, str] | None = None
        self._patterns: tuple[_Pattern, ...] = ()

    def __call__(self, scope: Scope) -> str:
        """Return the template of an HTTP scope's path, or `unmatched`."""
        if self._fixed is None:
            self._compile()
        path = _path(scope)
        fixed = (self._fixed or {}).get(path)
        return self._matched(path, scope["method"]) if fixed is None else fixed

    def _matched(self, path: str, method: str) -> str:
        """Return the first template that has the path and the method, as a router does, or the path alone."""
        matches = [one for one in self._patterns if one.regex.match(path)]
        of_method = (one.template for one in matches if one.methods is None or method in one.methods)
        return next(of_method, matches[0].template if matches else UNMATCHED)

    def _compile(self) -> None:
        fixed: dict[str, str] = {}
        patterns: list[_Pattern] = []
        for route in iter_route_contexts(self._routes()):
            path = _declared(route)
            if path is None:
                continue
            regex, template, parameters = compile_path(path)
            if parameters:
                patterns.append(_Pattern(regex, template, getattr(route, "methods", None)))
            else:
                fixed[path] = template
        self._patterns = tuple(patterns)
        self._fixed = fixed


def _declared(route: Any) -> str | None:
    """Return the path under which a route was declared; what is mounted counts as one."""
    path: str | None = route.path
    if path is not None and isinstance(route.original_route, Mount):
        return f"{path.rstrip('/')}/{{path:path}}"
    return path


def _path(scope: Scope) -> str:
    """Return the path below `root_path`, which a proxy may or may not have left in it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
